"""Winners compared in other settings than that of their search: at a longer budget, with more images, on other data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ablations.design.across import NUM_SEEDS, AcrossSetting, expand
from ablations.design.study import Design
from ablations.design.study_plan import StudyPlan
from ablations.running.across import AcrossPlan
from search.engine.ledger import Row
from search.engine.rungs import with_stable_rate
from search.engine.search_plan import BASELINE, SearchPlan, plan_base
from search.results.confirm import confirmation_plan
from xception.base.fields import format_value
from xception.train.recipe import Stable

__all__ = ["ConfirmationSettings", "plan_settings"]

_OF_THE_SEARCH = ("preset", "model")  # the winners' networks, which no setting changes


@dataclass(frozen=True, kw_only=True)
class ConfirmationSettings:
    """The settings that winners are judged in, planned before the search is run; the first is the search's own."""

    settings: tuple[AcrossSetting, ...]
    plans: tuple[SearchPlan, ...]

    def across(self, chosen: Sequence[Row], *, num_seeds: int | None, command: str) -> AcrossPlan:
        """Return the study of the winners in every setting, with seeds that no search has seen."""
        plans: list[StudyPlan] = []
        run = ""
        for setting, plan in zip(self.settings, self.plans, strict=True):
            fixed = confirmation_plan(plan, chosen, num_seeds=num_seeds or NUM_SEEDS, command=command)
            run = run or fixed.run
            plans.append(replace(fixed, run=f"{run}/{setting.folder}", setting=setting.values, across=command))
        return AcrossPlan(
            study=plans[0].study,
            options=self.plans[0].base.options,
            run=run,
            settings=self.settings,
            plans=tuple(plans),
        )


def plan_settings(plan: SearchPlan, texts: Sequence[str]) -> ConfirmationSettings:
    """Plan the search's own setting and the others that `--confirm-across` names; their needs are checked here.

    Raises:
        ValueError: a field is not allowed, or a setting cannot be planned; the message names it.
    """
    given = plan.base.options
    complete: list[str] = []
    dropped: dict[str, None] = {}
    for text in texts:
        field, _, values = text.partition("=")
        field = field.strip()
        if field.split(".")[0] in _OF_THE_SEARCH:
            raise ValueError(f"--confirm-across: {field} is not allowed, since the search decides on the network")
        value = _own_value(plan, field)
        if value in [word.strip() for word in values.split(",")]:
            raise ValueError(f"--confirm-across {field}: {value} is the search's own, which is always there; others")
        complete.append(f"{field}={value},{values}")
        option = field.rpartition(".")[2]
        if hasattr(given, option):
            dropped[option] = None
    others = tuple(t for t in given.set if t.partition("=")[0] not in {c.partition("=")[0] for c in complete})
    asked = given.replace(across=tuple(complete), set=others, **dropped)
    try:
        settings = expand(plan.base.study, asked)
    except ValueError as error:
        raise ValueError(str(error).replace("--across", "--confirm-across")) from None
    plans = []
    for setting in settings:
        try:
            plans.append(_in_setting(plan, plan_base(plan.base.study.name, plan.space.question, setting.options)))
        except ValueError as error:
            raise ValueError(f"--confirm-across: {setting.label}: {error}") from None
    return ConfirmationSettings(settings=settings, plans=tuple(plans))


def _own_value(plan: SearchPlan, field: str) -> str:
    if field == "dataset":
        if plan.base.options.dataset is None:
            raise ValueError("--confirm-across dataset: name the search's own by --dataset too")
        return plan.base.options.dataset
    try:
        value = functools.reduce(getattr, field.split("."), plan.design)
    except AttributeError:
        raise ValueError(f"--confirm-across: {field!r} is not a field; see --fields") from None
    return format_value(value)


def _in_setting(plan: SearchPlan, base: StudyPlan) -> SearchPlan:
    """The search's plan on the data and budget of another setting, at its kind of schedule."""
    design: Design = base.designs[BASELINE]
    if isinstance(plan.design.recipe.schedule, Stable):
        design = with_stable_rate(design)
    base = replace(base, designs={BASELINE: design})
    return replace(plan, definition=replace(plan.definition, design=design), base=base)
