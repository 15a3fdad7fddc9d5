"""A study from Python, as in a script or a notebook: the same run as the command line's, and its results as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablations.design.options import Options
from ablations.design.study import Study
from ablations.reporting.results import Results

if TYPE_CHECKING:
    from ablations.execution.backend import Backend
    from ablations.running.across import AcrossPlan

__all__ = ["Results", "run"]


def run(
    study: str | Study, options: Options | None = None, *, backend: Backend | None = None, **changes: Any
) -> Results:
    """Run a study, given as an object, a name or a file, and return its results.

    The options are the command line's, by the same names (`ablations.design.options.Options` describes them):
    `run("residuals", scale="smoke", seeds=3, out="elsewhere")`. Unless `workers` is given, trials run one after the
    other; then they run in this process, unless an option needs worker processes. Those need the usual
    `if __name__ == "__main__":` in a script. With a `backend` trials run on an executor of your own.

    Raises:
        TypeError: there is no such option.
        ValueError: an option, the data or a variant does not fit.
        RuntimeError: a trial failed; the others are stored, and running again retries only the failed ones.
    """
    from ablations.design.across import expand
    from ablations.design.plan_study import plan_study
    from ablations.execution.local_executor import refuse_unguarded_main
    from ablations.running.across import plan_across
    from ablations.running.context import check_options, open_context
    from ablations.running.run_study import first_line, run_study
    from ablations.studies import get_study, require_own_name

    refuse_unguarded_main()
    asked = (options or Options()).replace(**changes)
    check_options(asked)
    chosen = get_study(study) if isinstance(study, str) else study
    require_own_name(chosen)
    settings = expand(chosen, asked)
    if len(settings) > 1:
        return _run_across(plan_across(chosen, asked))
    plan = plan_study(chosen, settings[0].options if settings else asked)
    with open_context(plan, backend=backend, in_process=True) as context:
        for line in first_line(plan).splitlines():
            context.display.say(line)
        outcome = run_study(context)
    results = outcome.results
    if outcome.training.num_failed:
        reasons = list(results.frame.loc[results.frame["status"] == "failed", "reason"]) or ["no record"]
        raise RuntimeError(
            f"{outcome.training.num_failed} trials failed, the first with: {reasons[0]}; the others are in"
            f" {results.folder}"
        )
    return results


def _run_across(across: AcrossPlan) -> Results:
    import pandas as pd

    from ablations.running.across import run_across

    outcome = run_across(across, in_process=True)
    failed = sum(one.training.num_failed for one in outcome.outcomes)
    if failed:
        raise RuntimeError(f"{failed} trials failed; the others are in {outcome.folder}")
    frames = [one.results.frame.assign(**s.values) for one, s in zip(outcome.outcomes, across.settings, strict=True)]
    return Results(
        folder=outcome.folder,
        frame=pd.concat(frames, ignore_index=True),
        comparison=outcome.comparison.effects,
        settings=outcome.comparison,
    )
