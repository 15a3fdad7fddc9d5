"""Export, import and merging of records: a file of JSON lines, one store into another, a store from the folders of its
trials.

An existing final record stays, as everywhere: the first wins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.records.record import Description, Member, Record, StoredPlan, record_from_plain, record_to_plain
from ablations.records.store import Store
from ablations.records.trial_folder import stored_records
from xception.base.files import write_atomic

__all__ = ["Copied", "export_file", "import_file", "merge", "rebuild"]

_CHUNK = 1000
_FORMAT = {"format": "records of xception-ablations", "version": 1}


@dataclass(kw_only=True)
class Copied:
    """The numbers of records added, of those that existed with the same outcome, and of those that existed with
    another, which stayed.
    """

    new: int = 0
    known: int = 0
    different: int = 0


def export_file(store: Store, path: Path) -> int:
    """Write all records, plans and measurements of a store to one file that ends with its checksum; return the number
    of records.

    Raises:
        DataError: the file cannot be written.
    """
    digest = hashlib.sha256()
    num = 0
    with write_atomic(path) as file:
        for entry in _entries(store):
            line = json.dumps(entry, sort_keys=True).encode() + b"\n"
            digest.update(line)
            file.write(line)
            num += "record" in entry
        file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
    return num


def import_file(path: Path, store: Store) -> Copied:
    """Import a file of `export_file` into a store; nothing is imported if the file is not whole.

    Raises:
        ValueError: the file is not such a file, or it is truncated or damaged.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    body, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    try:
        expected = json.loads(last)["sha256"]
        entries = [json.loads(line) for line in body.split(b"\n")]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path}: not a whole file of records; one that `export` wrote") from None
    if hashlib.sha256(body + b"\n").hexdigest() != expected or entries[0] != _FORMAT:
        raise ValueError(
            f"{path}: its content is not what its checksum says, or of another version; a file that `export` wrote"
        )
    try:
        parsed = [_parsed(entry) for entry in entries[1:]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a file of records ({error}); one that `export` wrote") from None
    return _put_all(parsed, store)


def merge(source: Store, target: Store) -> Copied:
    """Copy everything from one store into another."""
    return _put_all((_parsed(entry) for entry in _entries(source) if entry is not _FORMAT), target)


def rebuild(trials: Path, store: Store, say: Callable[[str], None]) -> Copied:
    """Import the record of every finished trial below a folder into a store."""
    return _put_all(stored_records(trials, say), store)


@dataclass(frozen=True)
class _Measurement:
    key: str
    kind: str
    values: dict[str, Any]


def _entries(store: Store) -> Iterator[dict[str, Any]]:
    yield _FORMAT
    for record in store.records():
        yield {"record": record_to_plain(record)}
    for plan in reversed(store.plans()):
        about = {"plan": plan.plan, "study": plan.study, "options": plan.description.values()}
        members = [vars(member) for member in plan.members]
        yield {"plan": {**about, "members": members, "planned_at": plan.planned_at}}
    for key, kind, values in store.all_measurements():
        yield {"measurement": {"key": key, "kind": kind, "values": values}}


def _parsed(entry: Any) -> Record | StoredPlan | _Measurement:
    ((kind, plain),) = entry.items()
    if kind == "record":
        return record_from_plain(plain)
    if kind == "plan":
        description = Description.from_values(plain.pop("options"))
        return StoredPlan(
            **{**plain, "description": description, "members": tuple(Member(**member) for member in plain["members"])}
        )
    if kind == "measurement":
        return _Measurement(**plain)
    raise ValueError(f"{kind!r} is not known")


def _put_all(entries: Iterable[Record | StoredPlan | _Measurement], store: Store) -> Copied:
    copied = Copied()
    waiting: list[Record] = []
    for entry in entries:
        if isinstance(entry, StoredPlan):
            store.put_plan(entry)
        elif isinstance(entry, _Measurement):
            if store.measurement(entry.key) is None:
                store.put_measurement(entry.key, entry.kind, entry.values)
        else:
            waiting.append(entry)
            if len(waiting) == _CHUNK:
                _put_records(waiting, store, copied)
                waiting.clear()
    _put_records(waiting, store, copied)
    return copied


def _put_records(records: Sequence[Record], store: Store, copied: Copied) -> None:
    came = store.put_all(records)
    copied.new += len(came)
    stood = [record for record in records if record.key not in came]
    there = store.get(record.key for record in stood)
    for record in stood:
        same = _outcome(there[record.key]) == _outcome(record)
        copied.known += same
        copied.different += not same


def _outcome(record: Record) -> dict[str, Any]:
    """The outcome in a record, without times and machines."""
    left_out = ("train_seconds", "images_per_second", "created_at", "device", "threads", "environment")
    return {name: value for name, value in record.values().items() if name not in left_out}
