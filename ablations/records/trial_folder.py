"""The folder of a trial, apart from the database: its checkpoints while it runs, and its record permanently.

A record is in its folder, on disk, before the trial counts as finished. A run that was killed before the database had
the record finds it there, and a damaged database is rebuilt from these folders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from ablations.records.record import Record, other_fields, record_from_plain, record_to_plain
from xception.base.errors import DataError
from xception.base.files import lock, read_json, write_json

__all__ = ["TrialFolder", "stored_records"]

_RECORD, _LOCK = "record.json", "lock"


class TrialFolder:
    """The folder of one trial, `<trials>/<key>`; it is made when something is written to it."""

    def __init__(self, trials: Path, key: str) -> None:
        self.path = trials / key
        self._key = key

    def hold(self) -> AbstractContextManager[None]:
        """Lock the folder during the block; wait for another process that has it. The lock ends with its
        process.

        Raises:
            DataError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{str(self.path)!r}: cannot be made ({error.strerror}); a folder that can be written"
            ) from None
        return lock(self.path / _LOCK, timeout_seconds=math.inf)

    def write_record(self, record: Record) -> None:
        """Write the record of a finished trial, with a checksum, whole or not at all.

        Raises:
            DataError: the folder cannot be written or the disk is full.
        """
        write_json(self.path / _RECORD, record_to_plain(record))

    def read_record(self, say: Callable[[str], None] = lambda line: None) -> Record | None:
        """Return the trial's final record; None if there is none, or if it is damaged, which is reported. A record of
        another version is read as far as possible.

        Raises:
            DataError: it is whole but cannot be read, so that the trial must not be trained again silently.
        """
        path = self.path / _RECORD
        if not path.is_file():
            return None
        plain = read_json(path)
        if plain is None:
            say(f"{path} was damaged and is passed over")
            return None
        try:
            record = record_from_plain(plain)
        except ValueError as error:
            raise DataError(
                f"{str(path)!r}: of another version, and cannot be understood ({error}); use the version that wrote it,"
                " or move it away to train the trial again"
            ) from None
        if other := other_fields(plain):
            say(f"{path} is of another version ({', '.join(other)}) and is read as far as it is understood")
        if record.key != self._key or not record.is_final:
            say(f"{path} is not the final record of this trial and is passed over")
            return None
        return record


def stored_records(trials: Path, say: Callable[[str], None]) -> Iterator[Record]:
    """Yield the record of every finished trial below a folder; damaged ones are skipped with a notice.

    Raises:
        DataError: a record is whole but cannot be read.
    """
    if not trials.is_dir():
        return
    for path in sorted(trials.iterdir()):
        if path.is_dir():
            record = TrialFolder(trials, path.name).read_record(say)
            if record is not None:
                yield record
