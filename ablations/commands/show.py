"""`python -m ablations show KEY`: one trial, with everything in its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ablations.records.record import PACKED, Record
from ablations.records.store import Store

__all__ = ["find_record", "show_trial"]

_KEY_LENGTH = 64
_MEASURED = (
    *("val_accuracy", "val_loss", "test_accuracy", "test_top5_accuracy", "test_loss", "params", "macs"),
    *("train_seconds", "images_per_second"),
)


def show_trial(store: Store, key: str, *, out: Path, as_json: bool) -> int:
    """Print a trial by its key or the beginning of it; return the exit status.

    Raises:
        ValueError: no trial in the store, or more than one, has a key with this beginning.
    """
    record = find_record(store, key, "show")
    runs = sorted({plan.run for plan in store.plans(key=record.key)})
    network = out / "networks" / f"{record.key}.safetensors"
    row: dict[str, Any] = {
        **{name: value for name, value in record.values().items() if name not in ("trial", *PACKED)},
        "trial": record.plain_trial(),
        "runs": runs,
        "network": str(network) if network.is_file() else None,
    }
    if as_json:
        print(json.dumps(row, indent=1, ensure_ascii=False))
        return 0
    print(f"{record.key}  {record.status}{f': {record.reason}' if record.reason else ''}")
    print(f"  runs: {', '.join(runs) or 'none'}")
    print(f"  network: {row['network'] or 'not kept; --keep-weights keeps it'}")
    for name in _MEASURED:
        value = row[name]
        print(f"  {name}: {'not measured' if value is None else f'{value:,}' if isinstance(value, int) else value}")
    print(f"  device: {record.device or 'not known'}, {record.threads or 'unknown'} threads; {record.created_at}")
    print(f"  trial: {json.dumps(row['trial'], sort_keys=True)}")
    for name, value in sorted(record.environment.items()):
        print(f"  {name}: {value}")
    if record.curves:
        columns = list(record.curves[0])
        print("  " + "  ".join(f"{name:>12}" for name in columns))
        for epoch in record.curves:
            print("  " + "  ".join(f"{_cell(epoch.get(name)):>12}" for name in columns))
    return 0


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def find_record(store: Store, key: str, said_by: str) -> Record:
    """Return the record whose key has this beginning; `said_by` names the option of the key, for messages.

    Raises:
        ValueError: no trial in the store, or more than one, has such a key.
    """
    start = key.lower()
    if not start or len(start) > _KEY_LENGTH or set(start) - set("0123456789abcdef"):
        raise ValueError(f"{said_by}: {key!r} is not a key; 64 hexadecimal digits, or the first of them")
    found = store.keys(start)
    if len(found) != 1:
        several = ", ".join(k[:16] for k in found[:5])
        what = f"begins {len(found)} keys ({several}); more digits" if found else "is not a trial"
        raise ValueError(f"{said_by}: {key!r} {what} in {store.name}")
    (record,) = store.get(found).values()
    return record
