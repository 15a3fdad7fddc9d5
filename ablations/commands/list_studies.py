"""`--list`: the catalogue with each study's question, variants, trials and an estimate of time for this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ablations import studies
from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.options import Options
from ablations.design.plan_study import design_study
from ablations.design.scales import default_scale, get_scale
from ablations.design.stand_in_data import STAND_INS, stand_in_for
from ablations.design.study import Study

__all__ = ["list_studies"]


def list_studies(*, scale: str | None, out: Path, as_json: bool) -> int:
    """Print the catalogue; return the exit status."""
    chosen = scale or default_scale()
    speed = read_speed(out)
    rows = [_described(studies.get_study(name), chosen, speed) for name in studies.names()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        seconds = row["estimated_seconds"]
        cost = f"{row['num_trials']} trials, " + (
            f"about {duration(seconds)}" if seconds is not None else "time not measured yet"
        )
        print(f"{row['name']:<{width}}  {row['question']}")
        print(f"{'':<{width}}  {'; '.join(row['variants'])}")
        print(f"{'':<{width}}  at {chosen}: {cost}")
    if speed is None:
        print("Times are known after the first run on this machine.", file=sys.stderr)
    return 0


def _described(study: Study, scale: str, speed: float | None) -> dict[str, Any]:
    chosen = get_scale(scale)
    plan = design_study(study, Options().replace(scale=scale), stand_in_for(study), None, STAND_INS)
    places = plan.trials(dict.fromkeys(plan.designs, 1))  # of one seed: the others cost the same
    trials = [*places.values(), *plan.pretraining(list(places)).values()]
    seconds = estimate_seconds(((trial, plan.source_of(trial)) for trial in trials), speed)
    return {
        "name": study.name,
        "question": study.question,
        "variants": list(plan.designs),
        "num_trials": len(trials) * len(plan.seeds),
        "estimated_seconds": None if seconds is None else seconds * len(plan.seeds),
        "scale": chosen.name,
    }
