"""Which variants are on the front of accuracy against a cost, and with what probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ablations.reporting.cost_plots import COSTS
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.statistics.pareto import front_probability, pareto_front
from xception.base import formatting as f

__all__ = ["display_front", "front_table"]

COLUMNS = ("cost", "variant", "cost_value", "test_accuracy_mean", "n", "is_on_front", "front_probability")


def front_table(frame: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant and cost (MACs, parameters, latency): whether its mean accuracy is on the front, and
    the probability that its true mean is.

    Means are those of the `n` seeds that all compared variants completed; a variant without a seed or without the cost
    is left out. Costs that are the same for all are left out too. The probability is empty below two seeds.
    """
    done = frame[frame["status"] == "complete"]
    values = done.pivot_table(index="variant", columns="seed", values="test_accuracy", sort=False).dropna(axis=1)
    rows = []
    for cost in COSTS:
        if cost not in comparison or not len(values.columns):
            continue
        costs = pd.to_numeric(comparison.set_index("variant")[cost], errors="coerce").astype("float64")
        known = costs.reindex(values.index).dropna()
        if known.nunique() < 2:
            continue
        own = values.loc[known.index].to_numpy(dtype=np.float64)
        probabilities = front_probability(known.to_list(), own, np.random.default_rng(0))
        front = set(pareto_front(known.to_list(), own.mean(axis=1).tolist()))
        for place, variant in enumerate(known.index):
            rows.append(
                {
                    "cost": cost,
                    "variant": variant,
                    "cost_value": known.iloc[place],
                    "test_accuracy_mean": own[place].mean(),
                    "n": own.shape[1],
                    "is_on_front": place in front,
                    "front_probability": probabilities[place],
                }
            )
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def display_front(table: pd.DataFrame) -> DisplayTable | None:
    """Return the front for display, a row per variant and a column per cost; None if there is none."""
    if table.empty:
        return None
    titles = {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}
    costs = [cost for cost in titles if cost in set(table["cost"])]
    rows = []
    for variant, own in table.groupby("variant", sort=False):
        by_cost = {row["cost"]: row for row in own.to_dict("records")}
        first = next(iter(by_cost.values()))
        cells = [
            Cell(text=str(variant), order=str(variant)),
            Cell(text=f.percent(first["test_accuracy_mean"]), order=first["test_accuracy_mean"]),
        ]
        for cost in costs:
            row = by_cost.get(cost)
            known = row is not None and f.is_number(row["front_probability"])
            cells.append(
                Cell(
                    text=f.percent(row["front_probability"], 0) if row is not None and known else f.NOT_MEASURED,
                    order=row["front_probability"] if row is not None and known else None,
                    bold=bool(row is not None and row["is_on_front"]),
                )
            )
        rows.append(tuple(cells))
    seeds = f.join_words(str(n) for n in dict.fromkeys(table["n"]))
    return DisplayTable(
        caption="Probability (%) that a variant is on the front of accuracy against each cost: that no other costs less"
        f" or the same and is better. From n = {seeds} seeds that all variants completed: true means are drawn jointly"
        " from Student's t with the seeds' covariance, and costs are taken as known. Bold: on the front of the measured"
        " means.",
        columns=(
            Column(title="Variant", numeric=False),
            Column(title="Test accuracy (%)"),
            *(Column(title=f"On the front of {titles[cost]} (%)") for cost in costs),
        ),
        rows=tuple(rows),
    )
