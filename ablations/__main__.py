"""Look after a store: its runs and trials; check it, copy it, merge two, make one again from the folders of its trials.

python -m ablations runs    --out results/local
python -m ablations show    KEY --out results/local
python -m ablations compare RUN RUN... --out results/local
python -m ablations prune   RUN... --out results/local
python -m ablations check   --store sqlite:///results/local/records.db
python -m ablations export  --store sqlite:///results/local/records.db --file records.jsonl
python -m ablations import  --store sqlite:///elsewhere.db --file records.jsonl
python -m ablations merge   --store sqlite:///results/local/records.db --other sqlite:///elsewhere.db
python -m ablations rebuild --store sqlite:///new.db --trials results/local/trials
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from ablations.records.passwords import require_no_password
from ablations.running.interruption import interruptible
from xception.base.command_line import POSITIONAL, choose_command, parse, refuse

if TYPE_CHECKING:
    from ablations.records.store import Store

PROG = "python -m ablations"


@dataclass(frozen=True, kw_only=True)
class StoreArguments:
    """Which store."""

    store: str | None = None
    """Database of records: sqlite:///PATH or postgresql://HOST/NAME. Default: sqlite:///<out>/records.db."""
    out: Path = Path("results/local")
    """Folder of results: compare writes here, prune removes here, show looks for networks here."""


@dataclass(frozen=True, kw_only=True)
class ListArguments(StoreArguments):
    """How it is printed."""

    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class ShowArguments(ListArguments):
    """Which trial."""

    key: Annotated[str, POSITIONAL]
    """A trial's key, or the beginning of it."""


@dataclass(frozen=True, kw_only=True)
class CompareArguments(ListArguments):
    """Which runs."""

    run: Annotated[tuple[str, ...], POSITIONAL] = ()
    """Names of runs."""


@dataclass(frozen=True, kw_only=True)
class PruneArguments(CompareArguments):
    """What to do."""

    yes: bool = False
    """Remove what is otherwise only named."""


@dataclass(frozen=True, kw_only=True)
class FileArguments(StoreArguments):
    """Which file."""

    file: Path
    """File of records, one JSON object per line."""


@dataclass(frozen=True, kw_only=True)
class MergeArguments(StoreArguments):
    """What comes in."""

    other: str
    """Database whose records come in."""


@dataclass(frozen=True, kw_only=True)
class RebuildArguments(StoreArguments):
    """Where the trials are."""

    trials: Path | None = None
    """Folder of trials. Default: <out>/trials."""


def _runs(store: Store, asked: ListArguments) -> int:
    from ablations.commands.runs import list_runs

    return list_runs(store, as_json=asked.json)


def _show(store: Store, asked: ShowArguments) -> int:
    from ablations.commands.show import show_trial

    return show_trial(store, asked.key, out=asked.out, as_json=asked.json)


def _compare(store: Store, asked: CompareArguments) -> int:
    from ablations.commands.runs import compare_runs

    return compare_runs(store, asked.run, out=asked.out, as_json=asked.json)


def _prune(store: Store, asked: PruneArguments) -> int:
    from ablations.commands.runs import prune_runs

    return prune_runs(store, asked.run, out=asked.out, yes=asked.yes, as_json=asked.json)


def _check(store: Store, asked: StoreArguments) -> int:
    from ablations.commands.stores import check_store

    return check_store(store)


def _export(store: Store, asked: FileArguments) -> int:
    from ablations.commands.stores import export_records

    return export_records(store, asked.file)


def _import(store: Store, asked: FileArguments) -> int:
    from ablations.commands.stores import import_records

    return import_records(store, asked.file)


def _merge(store: Store, asked: MergeArguments) -> int:
    from ablations.commands.stores import merge_stores

    return merge_stores(store, asked.other)


def _rebuild(store: Store, asked: RebuildArguments) -> int:
    from ablations.commands.stores import rebuild_store

    return rebuild_store(store, asked.trials or asked.out / "trials")


class _Command(NamedTuple):
    """What a command takes and does; `reads` says that it needs a store that is there."""

    arguments: type[StoreArguments]
    run: Callable[[Store, Any], int]
    what: str
    reads: bool = True


COMMANDS = {
    "runs": _Command(ListArguments, _runs, "list the runs of a store, with setup and verdicts"),
    "show": _Command(ShowArguments, _show, "show one trial: config, measurements, curves, runs that it serves"),
    "compare": _Command(CompareArguments, _compare, "compare runs in one table and figure"),
    "prune": _Command(PruneArguments, _prune, "remove runs, after showing what that removes"),
    "check": _Command(StoreArguments, _check, "read every record and check that it is whole"),
    "export": _Command(FileArguments, _export, "write all records to a file"),
    "import": _Command(FileArguments, _import, "take in the records of a file", reads=False),
    "merge": _Command(MergeArguments, _merge, "take in the records of another store", reads=False),
    "rebuild": _Command(RebuildArguments, _rebuild, "make a store again from the folders of trials", reads=False),
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        require_no_password(words)
    except ValueError as error:
        refuse(PROG, error)
    name = choose_command(words, {name: command.what for name, command in COMMANDS.items()}, prog=PROG)
    command = COMMANDS[name]
    asked = parse(command.arguments, words[1:], prog=f"{PROG} {name}", description=f"{command.what.capitalize()}.")
    try:
        with interruptible(["-m", "ablations", *words]):
            return _carry_out(command, asked)
    except ValueError as error:
        refuse(f"{PROG} {name}", error)
    except OSError as error:
        refuse(f"{PROG} {name}", f"{error.filename}: {error.strerror}")


def _carry_out(command: _Command, asked: StoreArguments) -> int:
    from ablations.records.databases import file_of
    from ablations.records.store import Store

    url = asked.store or f"sqlite:///{asked.out / 'records.db'}"
    database = file_of(url)
    if command.reads and database is not None and not database.is_file():
        raise ValueError(f"--store: {database} does not exist; a store of records")
    if isinstance(asked, RebuildArguments):
        trials = asked.trials or asked.out / "trials"
        if not trials.is_dir():
            raise ValueError(f"--trials: {trials} is not a folder; the folder `trials` of an output folder")
    store = Store(url)
    try:
        return command.run(store, asked)
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
