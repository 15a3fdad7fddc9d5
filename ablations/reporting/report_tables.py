"""The tables of a report besides the main one: what variants change, every seed, fairness, a whole page together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ablations.reporting.captions import any_above_chance, data_sentence
from ablations.reporting.markup import Cell, Column, DisplayTable
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["changes_table", "fairness_table", "more_table", "page_table", "recipe_sentence", "seed_table"]


def more_table(comparison: pd.DataFrame) -> DisplayTable:
    """Return the interval for new test images, the probability of improvement and the success rate of each variant."""
    rows, is_shown = [], any_above_chance(comparison)
    for row in comparison.to_dict("records"):
        rate = f.percent(row["success_rate"], 0)
        success = f"{rate} {f.interval(row['success_ci_low'], row['success_ci_high'], 0)}"
        is_base = row["verdict"] == "baseline"
        rows.append(
            (
                Cell(text=str(row["variant"]), order=str(row["variant"])),
                Cell(
                    text="–" if is_base else f.interval(row["example_ci_low"], row["example_ci_high"], signed=True),
                ),
                Cell(text="–" if is_base else f.percent(row["probability_of_improvement"], 0)),
                *([Cell(text=success if f.is_number(row["success_rate"]) else f.NOT_MEASURED)] if is_shown else []),
            )
        )
    titles = (
        "95 % interval of Δ for new seeds and test images (pp)",
        "Probability of improvement (%)",
        *(["Runs above chance (%)"] if is_shown else []),
    )
    return DisplayTable(
        caption="The verdicts hold for this test set; the wider interval holds for test sets drawn like it. Probability"
        " of improvement: the share of all pairs of runs in which the variant beats the baseline."
        + (
            " Runs above chance: those that did not diverge and whose final validation accuracy is above what guessing"
            " reaches (binomial, 99 %), with a 95 % interval."
            if is_shown
            else " No run ended above chance."
        ),
        columns=(Column(title="Variant", numeric=False), *(Column(title=t) for t in titles)),
        rows=tuple(rows),
    )


def changes_table(
    changes: Mapping[str, Sequence[Sequence[str]]], left_out: Mapping[str, str], baselines: Mapping[str, str]
) -> DisplayTable | None:
    """Return the fields that each variant changes against its baseline; None where an older version stored the plan."""
    if not changes and not left_out:
        return None
    rows = []
    for variant, own in changes.items():
        for path, before, after in own or [("nothing but the seeds' draws", "", "")]:
            words = (variant, path, before, after)
            rows.append(tuple(Cell(text=word, order=word) for word in words))
    rows += [
        tuple(Cell(text=word, order=word) for word in (variant, "left out", "", reason))
        for variant, reason in left_out.items()
    ]
    several = len(set(baselines.values())) > 1
    return DisplayTable(
        caption="What each variant changes: field, value of "
        + ("its baseline" if several else f"the baseline, {next(iter(baselines.values()), 'none')}")
        + ", and its own value. Everything else is equal.",
        columns=tuple(Column(title=t, numeric=False) for t in ("Variant", "Field", "Baseline", "Variant's value")),
        rows=tuple(rows),
    )


def seed_table(frame: pd.DataFrame) -> DisplayTable:
    """Return every seed's test accuracy, a column per seed; for trials that are not complete, the status."""
    seeds = sorted({int(s) for s in frame["seed"]})
    rows = []
    for variant, group in frame.groupby("variant", sort=False):
        own = {int(row["seed"]): row for row in group.to_dict("records")}
        cells = [Cell(text=str(variant), order=str(variant))]
        for seed in seeds:
            row = own.get(seed)
            if row is None:
                cells.append(Cell(text="not planned"))
            elif row["status"] == "complete":
                cells.append(Cell(text=f.percent(row["test_accuracy"]), order=float(row["test_accuracy"])))
            else:
                cells.append(Cell(text=str(row["status"])))
        rows.append(tuple(cells))
    columns = (Column(title="Variant", numeric=False), *(Column(title=f"Seed {seed}") for seed in seeds))
    caption = f"Test accuracy (%) of every trial. {data_sentence(frame)}"
    if (frame["status"] == "diverged").any():
        caption += " Diverged trials are in no mean."
    return DisplayTable(caption=caption, columns=columns, rows=tuple(rows))


def fairness_table(frame: pd.DataFrame, comparison: pd.DataFrame, baselines: Mapping[str, str]) -> DisplayTable:
    """Return what each variant was given and what it cost, relative to the baseline."""
    recipes = _recipes(frame)
    by_name = {str(row["variant"]): row for row in comparison.to_dict("records")}
    rows = []
    for name, row in by_name.items():
        base = by_name.get(baselines.get(name, name))
        own_recipe = recipes.get(baselines.get(name, name), {})
        planned = int((frame["variant"] == row["variant"]).sum())
        different = [
            f"{key}: {recipes[name].get(key, 'default')}"
            for key in sorted({*recipes.get(name, {}), *own_recipe})
            if name in recipes and recipes[name].get(key) != own_recipe.get(key)
        ]
        matched = name.rsplit("@", 1)[1] if name.endswith(("@params", "@macs")) else "no"
        rows.append(
            (
                Cell(text=name, order=name),
                Cell(text=str(planned), order=planned),
                *(_ratio(row[cost], base[cost] if base else None) for cost in ("params", "macs", "train_seconds")),
                Cell(text=matched, order=matched),
                Cell(text="; ".join(different) or "the same", order=len(different)),
            )
        )
    titles = ("Trials planned", "Params, × baseline", "MACs, × baseline", "Training time, × baseline")
    columns = (
        Column(title="Variant", numeric=False),
        *(Column(title=t) for t in titles),
        Column(title="Matched to baseline in", numeric=False),
        Column(title="Recipe", numeric=False),
    )
    return DisplayTable(caption="What each variant was given, beside the baseline.", columns=columns, rows=tuple(rows))


def _ratio(value: object, base: object) -> Cell:
    if not (f.is_number(value) and f.is_number(base) and float(base)):  # type: ignore[arg-type]
        return Cell(text=f.NOT_MEASURED)
    ratio = float(value) / float(base)  # type: ignore[arg-type]
    return Cell(text=f"{ratio:.2f}", order=ratio)


def _recipes(frame: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Each variant's recipe as dotted paths, without fields at their default; only of variants that ran."""
    out: dict[str, dict[str, object]] = {}
    for row in frame.to_dict("records"):
        text = row.get("recipe_json")
        if isinstance(text, str) and str(row["variant"]) not in out:
            out[str(row["variant"])] = dict(_flat(json.loads(text)))
    return out


def recipe_sentence(frame: pd.DataFrame) -> str:
    """Return whether all variants that ran were trained with the same recipe."""
    recipes = list(_recipes(frame).values())
    if not recipes:
        return "No variant was trained yet."
    if all(recipe == recipes[0] for recipe in recipes):
        return (
            "All variants that ran were trained with the same recipe, for the same number of epochs, on the same splits"
            " of the same seeds."
        )
    return "Recipes differ between variants, as the table says; splits and seeds are the same."


def _flat(value: object, path: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [item for key, inner in value.items() for item in _flat(inner, f"{path}.{key}" if path else str(key))]
    return [(path, json.dumps(value) if isinstance(value, list) else value)]


def page_table(together: pd.DataFrame) -> DisplayTable:
    """Return the comparisons of a page for display, with intervals that hold over the whole page."""
    titles = ("Study", "Variant", "Baseline", "n", "Δ (pp)", "95 % interval (pp)", "90 % interval (pp)", "p", "Verdict")
    rows = []
    for row in together.to_dict("records"):
        ends = [(row["low"], row["high"]), (row["equivalence_low"], row["equivalence_high"])]
        rows.append(
            (
                *(Cell(text=str(row[name]), order=str(row[name])) for name in ("study", "variant", "baseline")),
                Cell(text=str(row["n"]), order=row["n"]),
                Cell(text=f.points(row["mean"]), order=row["mean"] if f.is_number(row["mean"]) else None),
                *(Cell(text=f.interval(low, high, signed=True)) for low, high in ends),
                Cell(text=f.p_value(row["p_adjusted"])),
                Cell(text=row["verdict"], order=row["verdict"]),
            )
        )
    sizes = f.join_words(str(size) for size in dict.fromkeys(together["family"]))
    return DisplayTable(
        caption="Studies that share a baseline, read together: intervals and verdicts hold over all comparisons of this"
        f" page with that baseline ({sizes}). The tables of the studies hold for each study by itself.",
        columns=tuple(Column(title=t, numeric=t not in (*titles[:3], "Verdict")) for t in titles),
        rows=tuple(rows),
    )
