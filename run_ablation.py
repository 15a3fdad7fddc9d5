"""The front door: run a study, list the catalogue, or make a report from what is stored.

python run_ablation.py --study residuals
python run_ablation.py --list
python run_ablation.py --fields recipe.optimizer
python run_ablation.py --report --study residuals
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations import studies
from ablations.design.options import Options, selected
from ablations.records.passwords import require_no_password
from ablations.running.interruption import as_typed, interruptible
from xception.base.command_line import invocation, parse, refuse, with_value
from xception.network import presets
from xception.train.recipes import RECIPES

PROG = "run_ablation.py"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Arguments(Options):
    """What the command does."""

    study: str | None = None
    """Name of a study (see --list), or the path of a study file that ends in .py."""
    resume_from: str | None = None
    """Key of a trial, or its beginning, that is continued for more --epochs as a new trial; it was trained with a
    constant rate, as --recipe stable has it.
    """
    dry_run: bool = False
    """Show the exact trials, which of them are stored, and what the rest will cost; train nothing."""
    list: bool = False
    """List the catalogue of studies."""
    fields: str | None = None
    """List every field that --set, studies and spaces can name, below a PREFIX such as recipe.optimizer, or all."""
    recipes: bool = False
    """List the recipes that --recipe takes: where each comes from, what it is good for, what was measured."""
    report: bool = False
    """Write tables, figures and report again from the store; train nothing."""
    json: bool = False
    """With --list, --fields and --recipes: print one JSON document."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        require_no_password(sys.argv[1:] if args is None else args)
    except ValueError as error:
        refuse(PROG, error)
    if os.environ.get("RANK", "0") != "0":
        return _follow(args)
    words = with_value("--fields", sys.argv[1:] if args is None else args, ALL)
    arguments = parse(
        Arguments,
        words,
        prog=PROG,
        description="Ablation studies of the Xception family.",
        values={
            "study": studies.names,
            "preset": presets.names,
            "recipe": lambda: RECIPES,
            "set": _field_names,
            "fields": _field_names,
        },
    )
    try:
        words = [*_program(), *(sys.argv[1:] if args is None else args)]
        with interruptible(words):
            return _answer(arguments, words)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        refuse(
            PROG,
            f"{place}{error.strerror or error}; what was finished is stored, and the same command continues from there",
        )


def _program() -> list[str]:
    """This program or file as it was typed, so that a command that is shown works from the folder that the user is
    in.
    """
    return invocation("xception-ablations", sys.argv[0] if Path(sys.argv[0]).name == PROG else PROG)


def _field_names() -> list[str]:
    """The fields that `--set` takes, for a shell that completes them."""
    from ablations.design.fields import catalogue

    return sorted({field.path for field in catalogue().fields if field.why_not_set is None})


def _follow(args: Sequence[str] | None) -> int:
    """Be one of torchrun's other processes: the first one alone says what is wrong, and says what to do."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
    ):
        arguments = parse(Arguments, args, prog=PROG, description="")
    if arguments.study is not None and not (arguments.list or arguments.report or arguments.dry_run):
        from ablations.execution.distributed_executor import follow

        follow(arguments.device)
    return 0


def _answer(arguments: Arguments, words: Sequence[str]) -> int:
    if arguments.list:
        from ablations.commands.list_studies import list_studies

        return list_studies(scale=arguments.scale, out=arguments.out, as_json=arguments.json)
    if arguments.fields is not None:
        from ablations.commands.list_fields import list_fields

        return list_fields("" if arguments.fields == ALL else arguments.fields, as_json=arguments.json)
    if arguments.recipes:
        from ablations.commands.list_recipes import list_recipes

        return list_recipes(as_json=arguments.json)
    if arguments.json:
        raise ValueError("--json: goes with --list, --fields or --recipes")
    if arguments.report:
        from ablations.commands.report import report
        from ablations.reporting.presentation import presentation_of

        return report(
            study=arguments.study,
            out=arguments.out,
            store=arguments.store,
            presentation=presentation_of(arguments),
        )
    again = as_typed(words)
    if arguments.resume_from is not None:
        if arguments.study is not None:
            raise ValueError(f"--study: {arguments.study!r} is not allowed with --resume-from; one of the two")
        from ablations.commands.resume import resume

        options = selected(Options, arguments)
        return resume(arguments.resume_from, options, dry_run=arguments.dry_run, again=again)
    if arguments.study is None:
        raise ValueError("--study: missing; give a name from --list, or use --list or --report")
    from ablations.commands.run import run

    return run(arguments.study, selected(Options, arguments), dry_run=arguments.dry_run, again=again)


if __name__ == "__main__":
    sys.exit(main())
