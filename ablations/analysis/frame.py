"""The frame of records: one row for each study, variant and trial, on which all statistics, tables and figures
stand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import Plan
    from ablations.records.store import Store

__all__ = ["COLUMNS", "load", "plan_frame"]

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
    ),
    *("params", "macs", "curves", "train_seconds", "images_per_second", "device", "threads"),
    *("dataset", "scale", "margin", "seeds_mode"),
    *("position", "reference", "levels", "model_json", "recipe_json", "environment", "created_at", "plan"),
)


def load(store: str | Path | Store, study: str | None = None) -> pd.DataFrame:
    """Return the records of the latest plan of each study (of one study by name), one row per variant and trial.

    `store` is a database URL, the path of an SQLite file, or an open store. A trial that was planned
    but not yet trained has status `missing`. Accuracies are fractions; `correct` holds one bit per
    test image (`numpy.packbits`); `curves` is a list with one mapping per epoch.

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
        latest: dict[str, Plan] = {}
        for plan in opened.plans(study):
            latest.setdefault(plan.study, plan)
        if study is not None and not latest:
            known = sorted({plan.study for plan in opened.plans()})
            raise ValueError(f"study: {study!r} is not in {opened.name}; studies there: {', '.join(known) or 'none'}")
        frames = [plan_frame(opened, plan) for plan in latest.values()]
    finally:
        if is_ours:
            opened.close()
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=pd.Index(COLUMNS))


def plan_frame(store: Store, plan: Plan, *, widths: bool = False) -> pd.DataFrame:
    """Return the rows of one plan, in the order of its variants and seeds.

    With `widths` also those of baselines at other widths, which are trained to hold variants against and are no
    variants themselves.
    """
    import pandas as pd

    baselines = {name: curve["baseline"] for curve in plan.description.curves for name in curve["widths"]}
    members = [member for member in plan.members if widths or member.variant not in baselines]
    records = store.get(member.key for member in members)
    about = plan.description
    shared = {name: getattr(about, name) for name in ("dataset", "scale", "margin", "seeds_mode")}
    levels, references = about.levels, about.references | baselines
    rows: list[dict[str, Any]] = []
    for member in members:
        row: dict[str, Any] = {"study": plan.study, "plan": plan.plan, **shared, **vars(member)}
        row |= {"levels": levels.get(member.variant, {}), "reference": references.get(member.variant)}
        record = records.get(member.key)
        if record is None:
            row |= {"status": "missing", "curves": [], "environment": {}}
        else:
            values = record.values()
            trial = json.loads(values.pop("trial"))
            row |= values | {"model_json": json.dumps(trial["model"]), "recipe_json": json.dumps(trial["recipe"])}
            row["num_val"] = trial["dataset"].get("val_size")
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))
