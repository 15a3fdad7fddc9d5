"""Search networks, train a space whole, and replay search methods on it.

python -m search --space middle_flow --trials 50 --objectives val_accuracy,macs
python -m search --list
python -m search exhaust --space table --seeds 3
python -m search replay --table results/table.parquet
python -m search compare-spaces family operators
python -m search contest --space family --candidates 40
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.records.passwords import require_no_password
from search.design.options import CompareOptions, ContestOptions, ExhaustOptions, SearchOptions, names_in
from search.spaces import get_space
from search.spaces import names as space_names
from xception.base.command_line import choose_command, ending_with_the_reader, invocation, parse, refuse
from xception.network import presets

PROG = "python -m search"
COMMANDS = {
    "exhaust": "train every network of a finite space",
    "replay": "replay search methods on a space that was trained whole",
    "compare-spaces": "compare design spaces at equal size",
    "contest": "compare the finds of several samplers with the default at two budgets",
}


@dataclass(frozen=True, kw_only=True)
class Arguments(SearchOptions):
    """Options of a search, or of the list of spaces."""

    list: bool = False
    """List the spaces."""
    json: bool = False
    """With --list: print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class ReplayArguments:
    """Options of `replay`."""

    table: Path
    """Parquet file that `exhaust` wrote."""
    samplers: str = "random,qmc,tpe,gp,nsga2,nsga3,evolution,local,predictor,hyperband,asha"
    """Search methods to compare, separated by commas."""
    trials: int = 40
    """Trials of each search."""
    repeats: int = 30
    """Searches with each method."""
    seed: int = 0
    """Of the searches."""
    out: Path = Path("results/local")
    """Folder for results: they go to <out>/replay."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = [*(sys.argv[1:] if args is None else args)]
    try:
        require_no_password(words)
        command = choose_command(words, COMMANDS, prog=PROG, bare=True)
        if command == "exhaust":
            return _exhaust(words)
        if command == "replay":
            return _replay(words)
        if command == "compare-spaces":
            return _compare_spaces(words)
        if command == "contest":
            return _contest(words)
        return _search(words)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        refuse(
            PROG,
            f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}; what was finished is stored",
        )


def _search(words: Sequence[str]) -> int:
    asked = parse(
        Arguments,
        words,
        prog=PROG,
        description="Search the Xception family; also: exhaust --help, replay --help.",
        values={"space": space_names, "preset": presets.names},
    )
    if asked.list:
        from search.commands.list_spaces import list_spaces

        with ending_with_the_reader():
            return list_spaces(as_json=asked.json)
    if asked.json:
        raise ValueError("--json: goes with --list")
    if asked.space is None:
        raise ValueError("--space: missing; give a name from --list")
    if asked.trials is None:
        raise ValueError("--trials: missing; the number of candidates to evaluate")
    get_space(asked.space)  # a wrong name is reported before anything heavy is imported
    from ablations.running.interruption import interruptible
    from search.commands.search import run_search

    with interruptible(_typed(words)):
        return run_search(asked, _command(words))


def _exhaust(words: Sequence[str]) -> int:
    asked = parse(
        ExhaustOptions, words[1:], prog=f"{PROG} exhaust", description="Train every network of a finite space."
    )
    from ablations.running.interruption import interruptible
    from search.commands.exhaust import exhaust

    with interruptible(_typed(words)):
        return exhaust(asked, _command(words))


def _compare_spaces(words: Sequence[str]) -> int:
    names = [word for word in words[1:3] if not word.startswith("-")]
    asked = parse(
        CompareOptions,
        words[1 + len(names) :],
        prog=f"{PROG} compare-spaces A B",
        description="Compare the accuracies of two spaces at equal size.",
    )
    if len(names) < 2:
        raise ValueError("compare-spaces: missing; the names of two spaces from --list")
    from ablations.running.interruption import interruptible
    from search.commands.compare_spaces import compare_spaces

    with interruptible(_typed(words)):
        return compare_spaces(names[0], names[1], asked, _command(words))


def _contest(words: Sequence[str]) -> int:
    asked = parse(
        ContestOptions,
        words[1:],
        prog=f"{PROG} contest",
        description="Search with several samplers at the default's size, and confirm the best of each at two budgets.",
    )
    from ablations.running.interruption import interruptible
    from search.commands.contest import contest

    with interruptible(_typed(words)):
        return contest(asked, _command(words))


def _replay(words: Sequence[str]) -> int:
    asked = parse(
        ReplayArguments,
        words[1:],
        prog=f"{PROG} replay",
        description="Replay search methods on a space that was trained whole.",
    )
    from ablations.running.interruption import interruptible
    from search.commands.replay import replay

    with interruptible(_typed(words)):
        return replay(
            asked.table,
            names_in(asked.samplers),
            trials=asked.trials,
            repeats=asked.repeats,
            seed=asked.seed,
            out=asked.out,
        )


def _typed(words: Sequence[str]) -> list[str]:
    return [*invocation("xception-search", "-m", "search"), *words]


def _command(words: Sequence[str]) -> str:
    from ablations.running.interruption import as_typed

    return as_typed(_typed(words))


if __name__ == "__main__":
    sys.exit(main())
