"""`--list`: the catalogue with each study's question, variants, trials and an estimate of time for this machine."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations import studies
from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.options import Options
from ablations.design.plan_study import DataSets, design_study
from ablations.design.scales import default_scale, get_scale
from ablations.design.study import Study
from xception.data.source import Source
from xception.data.synthetic import SyntheticReader

__all__ = ["CIFAR10", "STAND_INS", "list_studies", "stand_in"]


# Numbers of trials and costs are those on CIFAR-10, or on a stand-in of the size of the study's own data set; no data
# is looked up, so that listing is fast.
CIFAR10 = Source(
    name="cifar10",
    title="CIFAR-10",
    fingerprint="0" * 64,
    num_train=50_000,
    num_test=10_000,
    class_names=tuple(str(i) for i in range(10)),
    native_size=32,
    reader=SyntheticReader(kappa=0.0),
)


def stand_in(name: str, data_dir: Path | None = None) -> Source:
    """A stand-in for a data set of the name, with the sizes of the synthetic one."""
    return replace(
        CIFAR10, name=name, fingerprint=hashlib.sha256(name.encode()).hexdigest(), num_train=12_000, num_test=2_000
    )


def _part(source: Source, classes: Sequence[int]) -> Source:
    """A fraction of a stand-in."""
    share = len(classes) / source.num_classes
    return replace(
        stand_in(f"{source.name} {classes}"),
        num_train=round(source.num_train * share),
        num_test=round(source.num_test * share),
        class_names=tuple(source.class_names[label] for label in classes),
    )


STAND_INS = DataSets(find=stand_in, select_classes=_part)


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
    source = CIFAR10 if study.dataset is None else stand_in(study.dataset)
    plan = design_study(study, Options().replace(scale=scale), source, None, STAND_INS)
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
