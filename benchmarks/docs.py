"""The pages of the documentation that are made from the code and from the published results.

    python -m benchmarks.docs

Writes `docs/command_line.md` (every command's --help), `docs/fields.md` (every field that --set, studies and spaces can
name), `docs/files.md` (files and columns), `docs/results.md` with its figures (what is published below `results/`)
and `docs/images/rooms.svg` (the rooms of the code).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

from ablations.design.fields import catalogue
from ablations.reporting.columns import documentation
from ablations.reporting.tables import CURVE_COLUMNS, RUN_COLUMNS
from benchmarks import docs_results, docs_rooms
from xception.base.command_line import parse
from xception.base.files import write_atomically

__all__ = ["pages"]

WIDTH = 100
BENCHMARKS = (
    "training",
    "data",
    "latency",
    "store",
    "large_study",
    "statistics",
    "settings",
    "executors",
    "study",
    "verdict",
    "scaling",
    "search",
    "search_evidence",
    "gpu",
    "published",
    "reproduce",
    "docs",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the pages of the documentation that are made from the code and from the published results."""

    docs: Annotated[Path, "folder of the documentation"] = Path("docs")
    results: Annotated[Path, "folder of published results"] = Path("results")


def pages(results: Path) -> dict[str, bytes]:
    """Return the generated files by their path below the folder of the documentation."""
    text = {
        "command_line.md": _command_line(),
        "fields.md": _fields(),
        "files.md": _files(),
        "results.md": docs_results.page(results),
    }
    text["images/rooms.svg"] = docs_rooms.drawing(
        (results.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    )
    return {name: page.encode() for name, page in text.items()} | dict(docs_results.figures(results))


def _command_line() -> str:
    lines = [
        "# Command line",
        "",
        "Every command with its options, as `--help` prints them. Wrong use is one line on standard error and exit"
        " status 2. Other exit statuses: 0, done; 1, some trials failed and the rest are reported; 130, interrupted,"
        " with the line that continues the run.",
    ]
    for section, commands in _commands():
        lines += ["", f"## {section}"]
        for name, command in commands:
            lines += ["", f"### {name}", "", "```text", _help(command), "```"]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[tuple[str, list[tuple[str, Callable[[], Any]]]]]:
    def of(module: str, *words: str) -> Callable[[], Any]:
        return lambda: importlib.import_module(module).main([*words, "--help"])

    def several(package: str, *bare: str) -> list[tuple[str, Callable[[], Any]]]:
        module = f"{package}.__main__"
        names = [*bare, *importlib.import_module(module).COMMANDS]
        return [(f"python -m {package} {name}".strip(), of(module, *name.split())) for name in names]

    yield "Studies", [("run_ablation.py", of("run_ablation"))]
    yield "Stores and runs", several("ablations")
    yield "Searches", several("search", "")
    yield "Networks and data", several("xception")
    yield "Benchmarks", [(f"python -m benchmarks.{name}", of(f"benchmarks.{name}")) for name in BENCHMARKS]


def _help(command: Callable[[], Any]) -> str:
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        command()
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def _fields() -> str:
    lines = [
        "# Fields",
        "",
        "Every field of a network, a recipe and the data, with its default. `--set FIELD=VALUE`, `--across FIELD=V1,…`,"
        " the `changes` of a study's variants and the dimensions of a search space name them like this. Defaults are"
        " those of the configs; a scale or a preset sets other values. `python run_ablation.py --fields PREFIX` prints"
        " the same in a terminal.",
    ]
    titles = {
        "model": "Network",
        "recipe": "Recipe",
        "dataset": "Data",
        "pretraining": "Pretraining",
        "stream": "Stream",
    }
    previous = ""
    for field in catalogue().fields:
        row = field.described()
        group = field.path.partition(".")[0]
        if group != previous:
            lines += ["", f"## {titles.get(group, group)}", "", "| Field and default | Meaning |", "| --- | --- |"]
            previous = group
        name = f"`{field.path}`" if row["default"] is None else f"`{field.path}` = `{row['default']}`"
        of = f" ({row['of']})" if row["of"] in ("TorchvisionConfig", "TimmConfig") else ""
        not_set = f" Not with `--set`: {field.why_not_set}." if field.why_not_set is not None else ""
        lines.append(
            f"| {_cell(name + of)} | {_cell(row['meaning'] + ' Allowed: ' + row['allowed'] + '.' + not_set)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


_RUN_MEANINGS = {
    "key": "SHA-256 of the trial's canonical JSON; `predict --trial` takes its first digits.",
    "study": "Name of the study.",
    "variant": "Name of the variant.",
    "seed": "Seed of the pair.",
    "dataset": "Name of the data set.",
    "scale": "Name of the scale.",
    "status": "`complete`, `diverged` or `failed`.",
    "val_accuracy": "Accuracy on the validation split after the last epoch, a fraction.",
    "test_accuracy": "Accuracy on the test set, read once, a fraction.",
    "test_top5_accuracy": "Share of test images whose class is among the five most probable, a fraction.",
    "params": "Trainable parameters.",
    "macs": "Multiply-accumulates of convolutions and linear layers for one image.",
    "train_seconds": "Seconds of training.",
    "images_per_second": "Training images a second.",
    "device": "Device of the training.",
    "preset": "Network of the run's baseline, before overrides.",
    "epochs": "Epochs.",
    "train_size": "Training images.",
    "image_size": "Side of an image in pixels.",
    "batch_size": "Images in a step.",
    "learning_rate": "Peak learning rate.",
    "precision": "`float32`, `bfloat16` or `float16`.",
}
_CURVE_MEANINGS = {
    "key": "The trial.",
    "variant": "Name of the variant.",
    "seed": "Seed of the pair.",
    "epoch": "Epoch, from 1.",
    "train_loss": "Mean training loss of the epoch.",
    "val_loss": "Loss on the validation split after the epoch.",
    "val_accuracy": "Accuracy on the validation split after the epoch, a fraction.",
}
_FILES = (
    ("`table.csv`, `table.parquet`", "one row per variant"),
    (
        "`table.md`, `table.tex`, `table.html`",
        "the same, formatted: percent, intervals, and a caption that describes the run",
    ),
    ("`runs.csv`", "one row per trial"),
    ("`curves.csv`", "one row per trial and epoch"),
    ("`figures/`", "each figure as PNG, SVG and PDF with embedded fonts, and the numbers that it draws as CSV"),
    ("`report.html`", "all of it on one page that needs no network"),
    ("`provenance.json`", "the command, the setup, versions, the data set and its hash, devices"),
    ("`pareto.*`", "the front of accuracy against each cost, with the probability of being on it"),
    ("`classes.*`, `confusion.*`", "test accuracy by class, and which classes are confused"),
    ("`agreement.*`, `examples.*`", "how often networks agree, and the test images that become right or wrong"),
    ("`calibration.*`", "expected calibration errors; `figures/reliability.csv` has the bins"),
    ("`effects.*`", "main effects and interactions, for a factorial study"),
    ("`distances.*`", "with `--match`, if no width of a variant comes close enough"),
    ("`side_by_side.*`, `tuned/`", "with `--tune`: the fixed recipe and tuned ones side by side"),
    ("`paper.*`", "the tables of the paper cell by cell, for the studies that follow them"),
    (
        "`settings.*`, `pooled.*`, `trends.*`, `decisions.*`",
        "with `--across`: one answer for several settings",
    ),
)


def _files() -> str:
    lines = [
        "# Files and columns",
        "",
        "Each run has its own folder below `--out` (default `results/local`). Nothing in it that is not ours is"
        " replaced.",
        "",
        "| File | Holds |",
        "| --- | --- |",
        *(f"| {name} | {what} |" for name, what in _FILES),
        "",
        "A name with a star is a `.csv` with all rows and plain numbers, and formatted as `.md` and `.tex`. A"
        r" `.tex` file is self-contained, and `\input` includes it in a paper that loads `booktabs` and `graphicx` (and"
        " `longtable` for more than 40 rows).",
        "",
        "Next to the folders are `records.db` (the store), `trials/` (checkpoints and records of trials), `networks/`"
        " (with `--keep-weights`) and `speed.json` (the speed of training on this machine). Accuracies are fractions in"
        " files, percent and percentage points (pp) in formatted tables. What was not measured is an empty cell.",
        "",
        documentation().strip(),
    ]
    for name, columns, meanings in (
        ("runs.csv", RUN_COLUMNS, _RUN_MEANINGS),
        ("curves.csv", CURVE_COLUMNS, _CURVE_MEANINGS),
    ):
        lines += ["", f"## Columns of `{name}`", "", "| Column | Meaning |", "| --- | --- |"]
        lines += [f"| `{column}` | {meanings[column]} |" for column in columns]
    return "\n".join(lines) + "\n"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(Options, args, prog="python -m benchmarks.docs", description=Options.__doc__ or "")
    for name, page in pages(options.results).items():
        (options.docs / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.docs / name, page)
    print(f"{options.docs}: written again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
