"""Tables of untrained spaces: accuracies from a formula, with noise per seed."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pandas as pd

from ablations.design.study import Design
from search.benchmark.tabular import Table
from search.design.space import Values
from search.spaces import get_space
from tests.search.simulated import make_plan
from xception.base.canonical import canonical_json


def quality(values: Values) -> float:
    """The true accuracy: depth helps with shortcuts and hurts without, width helps, an activation in between hurts."""
    depth = float(values["middle.modules"])
    out = 0.60 + 0.02 * math.sqrt(depth) if values["residual"] else 0.58 - 0.02 * depth
    out += 0.03 if values["operator.kind"] == "separable" else 0.0
    out += 0.05 if values["width"] == 1.0 else 0.0
    return out - {"none": 0.0, "elu": 0.01, "relu": 0.02}[str(values["operator.intermediate_activation"])]


def make_table(folder: Path, *, noise: float = 0.005, seeds: int = 3, epochs: int = 9) -> Table:
    """Return a table of the space `table` at smoke scale."""
    space, design = get_space("table"), make_plan(folder, "table", epochs=epochs).design
    return Table(
        make_frame(design, noise=noise, seeds=seeds, epochs=epochs),
        space="table",
        digest=space.digest,
        design=design,
        about={"dataset": "simulated"},
    )


def make_frame(design: Design, *, noise: float, seeds: int, epochs: int) -> pd.DataFrame:
    """Return rows as from records."""
    from search.engine.search_plan import base_network

    space, generator, rows = get_space("table"), random.Random(5), []
    for values in space.grid():
        model = canonical_json(space.config(base_network(design), values))
        for seed in range(seeds):
            val, test = (quality(values) + generator.gauss(0, noise) for _ in range(2))
            seconds = 60.0 * (1 + float(values["middle.modules"])) * float(values["width"])
            rows.append(
                {
                    "model": model,
                    "seed": seed,
                    "status": "complete",
                    "val_accuracy": val,
                    "test_accuracy": test,
                    "params": 1000,
                    "macs": 10_000,
                    "latency_ms": 1.5,
                    "train_seconds": seconds,
                    "val_curve": [val * (1 - 0.5 ** (e + 1)) / (1 - 0.5**epochs) for e in range(epochs)],
                }
            )
    return pd.DataFrame(rows)
