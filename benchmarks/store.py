"""The store with years of records: inserting, reading a study's table, verifying all checksums, and memory.

    python -m benchmarks.store            # 100,000 records
    python -m benchmarks.store --short    # 20,000 records

Records are as long as those of scale quick: six epochs of curves, a bit for each of 2,000 test images, a trial's whole
JSON. `put` writes one record per transaction, which is on disk when it returns, as a running study does; `put_all`
writes many in one transaction, as imports and merges do. The table is read, compared and formatted for a study of 10
variants and 10 seeds among all the others. Each part is timed several times, and memory is the process's peak.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from ablations.analysis.comparison import compare
from ablations.analysis.frame import load
from ablations.design.trial import SEMANTICS, Trial
from ablations.records.record import Description, Member, Record, StoredPlan
from ablations.records.store import Store
from ablations.reporting.tables import display_table, table_frame
from benchmarks.loops import model_config
from xception.base.command_line import parse
from xception.data.config import DatasetConfig
from xception.train.recipe import Recipe

PROG = "python -m benchmarks.store"
FULL, SHORT = 100_000, 20_000
VARIANTS, SEEDS, EPOCHS, NUM_TEST = 10, 10, 6, 2_000
GOALS = {"inserts_per_second": 1000.0, "table_seconds": 2.0, "peak_memory_bytes": 1e9}
_SPREADS = (("inserts_per_second", ",.0f"), ("bulk_inserts_per_second", ",.0f"), ("table_seconds", ".2f"))
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    records: int | None = None
    """Records in the store, instead of those of the full or the short run."""
    short: bool = False
    """Fewer records."""
    json: bool = False
    """Print one JSON document."""


def made_up_records(num: int) -> Iterator[Record]:
    """Yield records of a network at a number of seeds, with random accuracies."""
    generator = random.Random(0)
    data = DatasetConfig(fingerprint="0" * 64, image_size=32, val_size=2000)
    trial = Trial(
        model=model_config("cifar_tiny"),
        recipe=Recipe(epochs=EPOCHS),
        dataset=data,
        seed=987_654_321,
        semantics=SEMANTICS,
    )
    template = trial.to_json()
    for seed in range(num):
        text = template.replace("987654321", str(seed))
        accuracy = generator.gauss(0.6, 0.02)
        curves = [
            {
                "epoch": epoch + 1,
                "train_loss": generator.random(),
                "val_loss": generator.random(),
                "val_accuracy": accuracy,
            }
            for epoch in range(EPOCHS)
        ]
        yield Record(
            key=hashlib.sha256(text.encode()).hexdigest(),
            trial=text,
            status="complete",
            val_accuracy=accuracy,
            val_loss=1.0,
            test_accuracy=accuracy,
            test_top5_accuracy=0.9,
            test_loss=1.0,
            num_test=NUM_TEST,
            num_classes=10,
            correct=generator.randbytes(NUM_TEST // 8),
            params=120_000,
            macs=9_500_000,
            curves=curves,
            train_seconds=100.0,
            images_per_second=500.0,
            device="cpu",
            threads=1,
            environment={"python": "3.11", "torch": "2.15", "platform": "Linux"},
            created_at="2026-01-01T00:00:00.000000+00:00",
        )


def plan_of(name: str, keys: Sequence[str]) -> StoredPlan:
    """Return a study of the benchmark's size with the given keys."""
    members = tuple(
        Member(
            variant=f"variant {i // SEEDS}",
            seed=i % SEEDS,
            stream=0,
            position=i // SEEDS,
            is_baseline=i < SEEDS,
            key=key,
        )
        for i, key in enumerate(keys)
    )
    description = Description(dataset="synthetic", scale="quick", margin=0.01)
    return StoredPlan(
        plan=hashlib.sha256(name.encode()).hexdigest(), study=name, description=description, members=members
    )


def measure(num: int, folder: str) -> dict[str, Any]:
    """Fill a store and time its use."""
    store = Store(f"sqlite:///{folder}/records.db")
    records = made_up_records(num)
    singles: list[float] = []
    many: list[float] = []
    while chunk := list(islice(records, _CHUNK)):
        began = time.perf_counter()
        if len(singles) <= len(many) // 9:  # a tenth of them, one by one
            for record in chunk:
                store.put(record)
            singles.append(len(chunk) / (time.perf_counter() - began))
        else:
            store.put_all(chunk)
            many.append(len(chunk) / (time.perf_counter() - began))
    keys = list(store.statuses(record.key for record in made_up_records(num)))
    size = VARIANTS * SEEDS
    for number, start in enumerate(range(0, len(keys) - size + 1, size)):
        store.put_plan(plan_of(f"study {number}", keys[start : start + size]))
    last = f"study {(len(keys) // size) // 2}"
    tables = [_timed(lambda: table_of(store, last)) for _ in range(5)]
    check_seconds = _timed(store.check)
    store.close()
    return {
        "records": num,
        "studies": len(keys) // size,
        "inserts_per_second": _spread(singles),
        "bulk_inserts_per_second": _spread(many),
        "table_seconds": _spread(tables),
        "check_seconds": check_seconds,
        "peak_memory_bytes": peak_memory(),
        "goals": GOALS,
    }


def table_of(store: Store, study: str) -> str:
    """Return a study's table for display, from the store."""
    comparison = compare(load(store, study))
    display_table(comparison, title=study)
    return table_frame(comparison).to_csv()


def peak_memory() -> int:
    """The peak memory of this process, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="The store with many records.")
    num = asked.records or (SHORT if asked.short else FULL)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(num, folder)
    from xception.profile.environment import read_environment

    found["environment"] = asdict(read_environment("cpu"))
    if asked.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"{found['records']:,} records in {found['studies']:,} studies, SQLite")
    single, many, table = (_text(found[name], form) for name, form in _SPREADS)
    print(f"put, each on disk before it returns: {single} records/s, goal {GOALS['inserts_per_second']:,.0f}")
    print(f"put_all, a thousand at a time:       {many} records/s")
    print(f"table of a study of {VARIANTS * SEEDS} trials:        {table} s, goal below {GOALS['table_seconds']:g}")
    print(f"every record checked against its checksum: {found['check_seconds']:.1f} s")
    print(
        f"most memory of the process: {found['peak_memory_bytes'] / 1e6:,.0f} MB, goal below"
        f" {GOALS['peak_memory_bytes'] / 1e6:,.0f}"
    )
    print("environment: " + ", ".join(f"{k} {v}" for k, v in found["environment"].items() if v is not None))
    return 0


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _text(spread: dict[str, float], form: str) -> str:
    return (
        f"{spread['median']:{form}} ({spread['low']:{form}} to {spread['high']:{form}})" if spread else "not measured"
    )


if __name__ == "__main__":
    sys.exit(main())
