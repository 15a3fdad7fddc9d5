"""Look after a store: its runs; check it, copy it, merge two, make one again from the folders of its trials.

python -m ablations runs    --out results/local
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablations.records.passwords import require_no_password
from ablations.running.interruption import interruptible
from xception.base.command_line import parse, refuse

PROG = "python -m ablations"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What can be done with a store."""

    action: Literal["runs", "compare", "prune", "check", "export", "import", "merge", "rebuild"]
    """What to do."""
    run: tuple[str, ...] = ()
    """With compare and prune: names of runs, which may also stand behind the action without --run."""
    store: str | None = None
    """Database of records: sqlite:///PATH or postgresql://HOST/NAME. Default: sqlite:///<out>/records.db."""
    out: Path = Path("results/local")
    """Folder of results, where compare writes and prune removes."""
    yes: bool = False
    """With prune: remove what it would otherwise only name."""
    json: bool = False
    """With runs, compare and prune: print one JSON document."""
    file: Path | None = None
    """With export and import: the file."""
    other: str | None = None
    """With merge: the database whose records come in."""
    trials: Path | None = None
    """With rebuild: the folder `trials` of an output folder."""


_SOUGHT = {
    "trials": "the folder `trials` of an output folder, with a finished trial in it",
    "file": "a file that `export` wrote of a store that has records",
    "other": "a store that has records",
}
_OF_RUNS = ("runs", "compare", "prune")
_NEEDED = {
    "runs": None,
    "compare": None,
    "prune": None,
    "check": None,
    "export": "file",
    "import": "file",
    "merge": "other",
    "rebuild": "trials",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        require_no_password(words)
    except ValueError as error:
        refuse(PROG, error)
    if words and words[0] in _NEEDED:
        num_names = next((i for i, word in enumerate(words[1:]) if word.startswith("-")), len(words) - 1)
        names = [w for name in words[1 : 1 + num_names] for w in ("--run", name)]
        words = ["--action", words[0], *names, *words[1 + num_names :]]
    arguments = parse(Arguments, words, prog=PROG, description="Look after a store of records.")
    try:
        with interruptible(["-m", "ablations", *words[1:]]):
            return _carry_out(arguments)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        refuse(PROG, f"{error.filename}: {error.strerror}")


def _carry_out(arguments: Arguments) -> int:
    from ablations.records.databases import file_of
    from ablations.records.store import Store
    from ablations.records.transfer_records import export_file, import_file, merge, rebuild

    needed = _NEEDED[arguments.action]
    for name in ("file", "other", "trials"):
        if (getattr(arguments, name) is None) == (name == needed):
            what = "missing; it goes with" if name == needed else "does not go with"
            raise ValueError(f"--{name}: {what} {arguments.action}")
    if arguments.run and arguments.action not in ("compare", "prune"):
        raise ValueError(f"{arguments.run[0]!r}: names of runs do not go with {arguments.action}")
    if arguments.json and arguments.action not in _OF_RUNS:
        raise ValueError(f"--json: does not go with {arguments.action}")
    if arguments.yes and arguments.action != "prune":
        raise ValueError(f"--yes: does not go with {arguments.action}")
    is_read = arguments.action in ("check", "export", *_OF_RUNS)
    url = arguments.store or f"sqlite:///{arguments.out / 'records.db'}"
    database = file_of(url)
    if is_read and database is not None and not database.is_file():
        raise ValueError(f"--store: {database} does not exist; a store of records")
    if arguments.trials is not None and not arguments.trials.is_dir():
        raise ValueError(f"--trials: {arguments.trials} is no folder; the folder `trials` of an output folder")
    store = Store(url)
    try:
        if arguments.action in _OF_RUNS:
            from ablations.commands.runs import compare_runs, list_runs, prune_runs

            if arguments.action == "runs":
                return list_runs(store, as_json=arguments.json)
            if arguments.action == "compare":
                return compare_runs(store, arguments.run, out=arguments.out, as_json=arguments.json)
            return prune_runs(store, arguments.run, out=arguments.out, yes=arguments.yes, as_json=arguments.json)
        if arguments.action == "check":
            print(f"{store.check()} records, all of them whole")
        elif arguments.file is not None and arguments.action == "export":
            print(f"{export_file(store, arguments.file)} records written to {arguments.file}")
        else:
            if arguments.file is not None:
                copied = import_file(arguments.file, store)
            elif arguments.other is not None:
                other = Store(arguments.other)
                copied = merge(other, store)
                other.close()
            else:
                copied = rebuild(arguments.trials or Path(), store, lambda line: print(line, file=sys.stderr))
            print(
                f"{copied.new} records came in, {copied.known} were there already, {copied.different} stayed, with"
                " another outcome"
            )
            if copied.new + copied.known + copied.different == 0:
                raise ValueError(f"--{needed}: no record was found there; {_SOUGHT[needed or '']}")
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
