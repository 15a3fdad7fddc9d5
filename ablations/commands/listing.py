"""`--list`: the catalogue with each study's question, variants, trials and an estimate of time for this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ablations import studies
from ablations.cost import duration, estimate_seconds, read_speed
from ablations.plan import Options, design_study
from ablations.scales import default_scale, get_scale
from ablations.study import Study
from xception.data.source import Source
from xception.data.synthetic import SyntheticReader

__all__ = ["list_studies"]


# Numbers of trials and costs are those on CIFAR-10; no data is looked for, so that listing answers at once.
_CIFAR10 = Source(
    name="cifar10",
    title="CIFAR-10",
    fingerprint="0" * 64,
    num_train=50_000,
    num_test=10_000,
    class_names=tuple(str(i) for i in range(10)),
    native_size=32,
    reader=SyntheticReader(kappa=0.0),
)


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
        cost = f"{row['num_trials']} trials, " + (f"about {duration(seconds)}" if seconds is not None else "time not measured yet")
        print(f"{row['name']:<{width}}  {row['question']}")
        print(f"{'':<{width}}  {', '.join(row['variants'])}")
        print(f"{'':<{width}}  at {chosen}: {cost}")
    if speed is None:
        print("Times are known after the first run on this machine.", file=sys.stderr)
    return 0


def _described(study: Study, scale: str, speed: float | None) -> dict[str, Any]:
    chosen = get_scale(scale)
    plan = design_study(study, Options(scale=scale), _CIFAR10, None)
    trials = list(plan.trials().values())
    return {
        "name": study.name,
        "question": study.question,
        "variants": list(plan.designs),
        "num_trials": len(trials),
        "estimated_seconds": estimate_seconds(trials, plan.source.num_train, speed),
        "scale": chosen.name,
    }
