"""The frame of records: one row for each study, variant and trial; the input of all statistics, tables and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.looks import looks_by_variant
from xception.base.canonical import from_plain
from xception.base.suggestions import did_you_mean
from xception.train.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.plan_table import PlanHead
    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["COLUMNS", "load", "named_runs", "plan_frame"]

COLUMNS = (
    *("study", "variant", "is_baseline", "seed", "stream", "key", "status", "reason"),
    *(
        "val_accuracy",
        "val_loss",
        "test_accuracy",
        "test_top5_accuracy",
        "test_loss",
        "num_test",
        "num_val",
        "num_classes",
        "correct",
        "predictions",
        "confidence",
    ),
    *("params", "macs", "curves", "train_seconds", "images_per_second", "device", "threads"),
    *("dataset", "scale", "margin", "seeds_mode"),
    *("run", "overrides", "preset", "epochs", "train_size", "image_size", "batch_size", "learning_rate", "precision"),
    *("position", "reference", "levels", "model_json", "recipe_json", "environment", "created_at", "plan", "looks"),
)


def load(store: str | Path | Store, study: str | None = None) -> pd.DataFrame:
    """Return the records of every run, one row per run, variant and trial; with a name, of one run or of all runs of
    one study.

    `store` is a database URL, the path of an SQLite file, or an open store. A trial that was planned
    but not yet trained has status `missing`. Accuracies are fractions; `correct` holds one bit per
    test image (`numpy.packbits`), `predictions` the class predicted of each
    (`xception.train.predictions`), `confidence` a histogram (`xception.train.confidence`); `curves` is a list with
    one mapping per epoch.

    Raises:
        StoreError: the store cannot be read.
        ValueError: it has no such study.
    """
    import pandas as pd

    from ablations.records.store import Store, StoreError

    if isinstance(store, Store):
        opened, is_ours = store, False
    else:
        url = str(store)
        if "://" not in url:
            if not Path(url).is_file():
                raise StoreError(f"store: {url} does not exist; give a database URL or the path of an SQLite file")
            url = f"sqlite:///{url}"
        opened, is_ours = Store(url), True
    try:
        frames = [plan_frame(opened, plan) for plan in named_runs(opened, study)]
    finally:
        if is_ours:
            opened.close()
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=pd.Index(COLUMNS))


def named_runs(store: Store, name: str | None = None) -> list[StoredPlan]:
    """Return the latest plan of every run, the latest first: all of them, those of a study, or the one of that name.

    Raises:
        ValueError: there is none of that name.
    """
    runs: dict[str, PlanHead] = {}
    for head in store.plan_heads():
        runs.setdefault(head.run, head)
    found = [head for head in runs.values() if name is None or name in (head.run, head.study)]
    exact = [head for head in found if head.run == name and head.study != name]
    if not found and name is not None:
        known = sorted({*runs, *(head.study for head in runs.values())})
        more = did_you_mean(name, known)
        raise ValueError(
            f"study: {name!r} is not in {store.name}; runs and studies there: {', '.join(known) or 'none'}{more}"
        )
    plans = (store.plan(head.plan) for head in exact or found)
    return [plan for plan in plans if plan is not None]


def _setup(trial: Mapping[str, Any], setup: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial was trained as; `setup` is its plan's, for what the trial leaves to the data set."""
    recipe, data = from_plain(Recipe, trial["recipe"]), trial["dataset"]
    return {
        "preset": setup.get("network"),
        "epochs": recipe.epochs,
        "train_size": data.get("train_size", setup.get("train_size")),
        "image_size": data["image_size"],
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.optimizer.learning_rate,
        "precision": recipe.precision,
    }


def plan_frame(store: Store, plan: StoredPlan, *, widths: bool = False) -> pd.DataFrame:
    """Return the rows of one plan, in the order of its variants and seeds.

    With `widths`, also the rows of baselines at other widths: they are trained for comparison and are not variants.
    """
    import pandas as pd

    baselines = {name: curve["baseline"] for curve in plan.description.curves for name in curve["widths"]}
    members = [member for member in plan.members if widths or member.variant not in baselines]
    records = store.get(member.key for member in members)
    about = plan.description
    shared = {name: getattr(about, name) for name in ("dataset", "scale", "margin", "seeds_mode")}
    levels, references = about.levels, about.references | baselines
    looks = looks_by_variant(store, plan, references)
    rows: list[dict[str, Any]] = []
    for member in members:
        row: dict[str, Any] = {"study": plan.study, "plan": plan.plan, "run": plan.run, **shared, **vars(member)}
        row["overrides"] = about.setup.get("overrides")
        row |= {"levels": levels.get(member.variant, {}), "reference": references.get(member.variant)}
        row["looks"] = looks.get(member.variant, [])
        record = records.get(member.key)
        if record is None:
            row |= {"status": "missing", "curves": [], "environment": {}}
        else:
            trial = record.plain_trial()
            row |= record.values()
            row |= {"model_json": json.dumps(trial["model"]), "recipe_json": json.dumps(trial["recipe"])}
            row |= _setup(trial, about.setup)
            row["num_val"] = trial["dataset"].get("val_size")
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))
