"""Run one study in several settings, the longest first, and report for each variant where its effect holds."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.costs.training_cost import duration, estimate_seconds, read_speed, trial_work
from ablations.design.across import UNASKED_SETTINGS, AcrossSetting, expand
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.run_name import free_name, run_name
from ablations.design.study import Study
from ablations.design.study_plan import StudyPlan
from ablations.execution.progress import ProgressDisplay
from ablations.records.databases import file_of
from ablations.records.store import Store
from ablations.running.context import Context, check_options, open_context
from ablations.running.run_study import Outcome, first_line, run_study
from xception.base.canonical import key_of

if TYPE_CHECKING:
    from ablations.analysis.settings import SettingsComparison

__all__ = ["AcrossOutcome", "AcrossPlan", "plan_across", "run_across", "run_settings", "show_across"]


@dataclass(frozen=True, kw_only=True)
class AcrossPlan:
    """The plans of all settings, and the folder, relative to `--out`, in which each has a folder of its own."""

    study: Study
    options: Options
    run: str
    settings: tuple[AcrossSetting, ...]
    plans: tuple[StudyPlan, ...]

    @property
    def command(self) -> str:
        """The command that repeats all settings."""
        return self.plans[0].across

    def longest_first(self) -> list[int]:
        """The settings' numbers, that with the most training work first."""
        work = [sum(trial_work(t, plan.source_of(t)) for t in plan.trials().values()) for plan in self.plans]
        return sorted(range(len(work)), key=lambda i: -work[i])


@dataclass(frozen=True, kw_only=True)
class AcrossOutcome:
    """The results of all settings: each one's outcome, the comparison, and the folder of the whole."""

    outcomes: tuple[Outcome, ...]
    comparison: SettingsComparison
    folder: Path

    @property
    def sentences(self) -> list[str]:
        """One line per variant: its name and where its effect holds."""
        return [f"{row['variant']}: {row['sentence']}" for row in self.comparison.answers.to_dict("records")]


def plan_across(study: Study, options: Options, *, unasked: bool = False) -> AcrossPlan:
    """Plan a study in the two or more settings of the options, or else of the study itself.

    `unasked` plans any number of settings, to show their cost.

    Everything that a setting needs is looked up here, before anything is trained.

    Raises:
        ValueError: a setting cannot be planned, or there are too many and `--yes` is not given.
    """
    settings = expand(study, options)
    if options.live:
        raise ValueError("--live: is not allowed with a study in several settings; run one of them")
    if len(settings) > UNASKED_SETTINGS and not (options.yes or unasked):
        raise ValueError(
            f"--across: {len(settings)} settings are more than {UNASKED_SETTINGS}; see what they cost with --dry-run,"
            " and run them with --yes"
        )
    plans = []
    for setting in settings:
        try:
            plans.append(plan_study(study, setting.options))
        except ValueError as error:
            raise ValueError(f"{setting.label}: {error}") from None
    given = options.name is not None
    run = options.name or run_name(study, plans[0].source, options)
    identity = key_of([plan.identity for plan in plans])
    run = free_name(run, identity, options.out, is_given=given)
    command = replace(plans[0], options=options).command
    own = tuple(
        replace(p, run=f"{run}/{s.folder}", setting=s.values, across=command)
        for p, s in zip(plans, settings, strict=True)
    )
    return AcrossPlan(study=study, options=options, run=run, settings=settings, plans=own)


def run_across(across: AcrossPlan, *, in_process: bool = False) -> AcrossOutcome:
    """Run every setting; the comparison of the finished ones is written after each.

    Raises:
        ValueError: an option does not fit this machine, or the settings cannot be compared.
    """
    check_options(across.options)
    with open_context(across.plans[across.longest_first()[0]], in_process=in_process) as context:
        return run_settings(across, context)


def run_settings(across: AcrossPlan, first: Context) -> AcrossOutcome:
    """Run every setting in an open context, as `run_across` does.

    Raises:
        ValueError: the settings cannot be compared.
    """
    from ablations.reporting.presentation import presentation_of
    from ablations.reporting.settings_results import write_settings

    outcomes: dict[int, Outcome] = {}
    written = None
    (across.options.out / across.run).mkdir(parents=True, exist_ok=True)
    order = across.longest_first()
    for number, i in enumerate(order, 1):
        context = first.with_plan(across.plans[i], ProgressDisplay())
        context.display.say(f"Setting {number} of {len(order)}: {across.settings[i].label}")
        for line in first_line(across.plans[i]).splitlines():
            context.display.say(line)
        outcomes[i] = run_study(context)
        if len(outcomes) > 1:
            done = [outcomes[at].training.plan for at in sorted(outcomes)]
            written = write_settings(
                context.store,
                done,
                across.options.out,
                num_planned=len(order),
                presentation=presentation_of(across.options),
            )
    assert written is not None
    return AcrossOutcome(
        outcomes=tuple(outcomes[i] for i in sorted(outcomes)), comparison=written.comparison, folder=written.folder
    )


def show_across(across: AcrossPlan) -> None:
    """Print the trials and the cost of every setting, longest first; train nothing."""
    url = across.options.store_url
    database = file_of(url)
    store = Store(url) if database is None or database.is_file() else None
    speed = read_speed(across.options.out)
    seen: set[str] = set()
    total = 0.0
    for i in across.longest_first():
        plan = across.plans[i]
        trials = {t.key: t for t in plan.trials().values() if t.key not in seen}
        seen |= set(trials)
        statuses = store.statuses(trials) if store else {}
        rest = [t for key, t in trials.items() if statuses.get(key) not in ("complete", "diverged")]
        seconds = estimate_seconds(((t, plan.source_of(t)) for t in rest), speed)
        total += seconds or 0.0
        cost = duration(seconds) if seconds is not None else "cost not known yet"
        print(f"{across.settings[i].label}: {len(trials)} trials, {len(rest)} to train, {cost}")
        for line in plan.remarks:
            print(line, file=sys.stderr)
    if store:
        store.close()
    cost = f"about {duration(total)}" if speed is not None else "this machine's speed is measured in the first run"
    print(f"{len(across.settings)} settings, {len(seen)} trials: {cost}", file=sys.stderr)
