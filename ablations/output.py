"""The folder of a study's results: everything in it belongs to one plan, and is replaced as a whole."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.comparison import compare
from ablations.frame import plan_frame
from ablations.tables import csv_text, write_atomically, write_runs, write_tables
from ablations.variant_costs import stored_costs

if TYPE_CHECKING:
    import pandas as pd

    from ablations.record import Plan
from ablations.store import Store

__all__ = ["comparison_with_costs", "write_results"]

_PACKAGES = ("torch", "torchvision", "optuna", "fvcore", "numpy", "pandas", "scipy", "statsmodels", "seaborn", "sqlalchemy")


def write_results(store: Store, plan: Plan, out: Path, *, tuned: tuple[Plan, pd.DataFrame] | None = None) -> Path:
    """Write tables, runs, curves, figures, report and provenance of a plan; return the folder `<out>/<study>`.

    The new folder takes the old one's place when it is whole, so that two runs are never mixed. `tuned` is the plan of the same
    study at tuned recipes, with the tuning trials: their tables stand beside the fixed ones, in files named `tuned`.

    Raises:
        OSError: the folder cannot be written.
    """
    frame = plan_frame(store, plan)
    comparison = comparison_with_costs(store, plan, frame)
    folder = out / plan.study
    made = Path(tempfile.mkdtemp(dir=out, prefix=f".{plan.study}."))
    made.chmod(0o755)
    try:
        write_tables(comparison, made, title=plan.options["question"], label=f"tab:{plan.study}")
        write_runs(frame, made)
        if tuned is not None:
            _write_tuned(store, *tuned, made, title=plan.options["question"])
        (made / "provenance.json").write_text(json.dumps(_provenance(plan, frame), indent=1, ensure_ascii=False) + "\n")
        _replace(folder, made)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _write_tuned(store: Store, plan: Plan, trials: pd.DataFrame, folder: Path, *, title: str) -> None:
    frame = plan_frame(store, plan)
    beside = folder / "tuned"
    caption = f"{title} Every variant at its own tuned recipe."
    write_tables(comparison_with_costs(store, plan, frame), beside, title=caption, label=f"tab:{plan.study}")
    write_runs(frame, beside)
    write_atomically(beside / "tuning.csv", csv_text(trials))


def comparison_with_costs(store: Store, plan: Plan, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of a plan's records with what each variant's network costs."""
    comparison = compare(frame)
    costs = stored_costs(store, plan).set_index("variant")
    for name in costs.columns:
        measured = comparison["variant"].map(costs[name])
        comparison[name] = measured.where(measured.notna(), comparison[name]) if name in comparison else measured
    return comparison


def _provenance(plan: Plan, frame: pd.DataFrame) -> dict[str, Any]:
    trained = frame[frame["status"].isin(["complete", "diverged"])]
    return {
        **plan.options,
        "study": plan.study,
        "plan": plan.plan,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_trials": len(frame),
        "statuses": frame["status"].value_counts().to_dict(),
        "devices": sorted(set(trained["device"].dropna())),
        "threads": sorted({int(n) for n in trained["threads"].dropna()}),
        "training_environments": _distinct(trained["environment"]),
        "train_seconds": float(trained["train_seconds"].sum()),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def _distinct(environments: pd.Series[Any]) -> list[dict[str, Any]]:
    texts = dict.fromkeys(json.dumps(e, sort_keys=True) for e in environments)
    return [json.loads(text) for text in texts]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the code that made the results; None outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _replace(folder: Path, made: Path) -> None:
    """Put a new folder in the place of an old one; the old one is removed once the new one stands."""
    old = made.with_name(made.name + ".old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(made, folder)
    shutil.rmtree(old, ignore_errors=True)
