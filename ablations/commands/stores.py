"""`python -m ablations check | export | import | merge | rebuild`: records checked, copied and rebuilt."""

from __future__ import annotations

import sys
from pathlib import Path

from ablations.records.store import Store
from ablations.records.transfer_records import Copied, export_file, import_file, merge, rebuild

__all__ = ["check_store", "export_records", "import_records", "merge_stores", "rebuild_store"]


def check_store(store: Store) -> int:
    """Read every record of a store; return the exit status."""
    print(f"{store.check()} records, all of them whole")
    return 0


def export_records(store: Store, file: Path) -> int:
    """Write every record of a store into a file; return the exit status."""
    print(f"{export_file(store, file)} records written to {file}")
    return 0


def import_records(store: Store, file: Path) -> int:
    """Import the records of a file; return the exit status."""
    return _copied(import_file(file, store), "--file", "a file that `export` wrote of a store that has records")


def merge_stores(store: Store, other: str) -> int:
    """Import the records of another store; return the exit status."""
    opened = Store(other)
    try:
        return _copied(merge(opened, store), "--other", "a store that has records")
    finally:
        opened.close()


def rebuild_store(store: Store, trials: Path) -> int:
    """Import the records in the folders of trials; return the exit status.

    Raises:
        ValueError: there is no such folder, or no record in it.
    """
    sought = "the folder `trials` of an output folder, with a finished trial in it"
    copied = rebuild(trials, store, lambda line: print(line, file=sys.stderr))
    return _copied(copied, "--trials", sought)


def _copied(copied: Copied, option: str, sought: str) -> int:
    print(
        f"{copied.new} records came in, {copied.known} were there already, {copied.different} stayed, with another"
        " outcome"
    )
    if copied.new + copied.known + copied.different == 0:
        raise ValueError(f"{option}: no record was found there; {sought}")
    return 0
