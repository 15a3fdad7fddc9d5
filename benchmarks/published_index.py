"""The index of what is published: the paper's claims, tables and figures with our results, every run, measurements of
devices, and what was not run.

Everything but the paper's statements is read from the folders below `results/`; the page is `results/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ablations.records.record import with_version
from ablations.reporting.paper import PAPER_STUDIES, paper_markdown, unrun_cells
from ablations.studies import get_study, names
from benchmarks.published_cost import SIZE, estimated_hours, training_rate
from benchmarks.published_devices import device_sections
from xception.base import formatting as f

__all__ = ["CLAIMS", "Claim", "PublishedRun", "agreement", "index_page", "paper_sections", "published_runs"]

Expected = Literal["helps", "hurts", "no meaningful effect"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of the paper, its section, and what it claims about variants of our studies."""

    title: str
    statement: str
    source: str
    expected: dict[tuple[str, str], Expected]


CLAIMS = (
    Claim(
        title="Residual connections",
        statement="Residual connections are essential to converge fast and to a good accuracy.",
        source="Section 4.7, Figure 9",
        expected={("residuals", "without residuals"): "hurts"},
    ),
    Claim(
        title="Separable convolutions and Inception modules",
        statement="At an equal number of parameters separable convolutions do better than Inception modules.",
        source="Abstract, Section 4.5, Tables 1 to 3",
        expected={
            ("operators", "inception module@params"): "hurts",
            ("paper_table2", "no FC, Inception modules@params"): "hurts",
            ("paper_table2", "FC, Inception modules@params"): "hurts",
            ("paper_table3", "Inception modules@params"): "hurts",
        },
    ),
    Claim(
        title="Separable and regular convolutions",
        statement="Correlations across channels and in space are better not mapped jointly.",
        source="Section 1.1; regular convolutions are not measured in the paper",
        expected={("operators", "regular@params"): "hurts"},
    ),
    Claim(
        title="Order of depthwise and pointwise convolution",
        statement="Which of the two comes first does not matter, as modules are stacked.",
        source="Section 1.2; argued in the paper and not measured",
        expected={
            ("operation_order", "nothing between, pointwise first"): "no meaningful effect",
            ("operation_order", "ReLU between, pointwise first"): "no meaningful effect",
        },
    ),
    Claim(
        title="Activation between depthwise and pointwise convolution",
        statement="No activation there converges faster and ends better than ReLU and ELU.",
        source="Section 4.8, Figure 10",
        expected={("intermediate_activation", "ReLU"): "hurts", ("intermediate_activation", "ELU"): "hurts"},
    ),
)
_NOT_THE_PAPERS = (
    "The paper has 22.9 M parameters, trained on all of ImageNet at 299 × 299 pixels; this is a far smaller network on"
    " far fewer images, so that the statement is not refuted where the paper makes it. It does not carry over to this"
    " setting."
)

_DEPENDS = (
    "The settings differ in more than one thing, so that these runs do not tell which of them the answer depends on."
)


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """One published run: its folder below the results, what its provenance says, its table and its trials."""

    name: str
    about: dict[str, Any]
    table: pd.DataFrame
    trials: pd.DataFrame

    @property
    def command(self) -> str:
        """The command that made it; for one of several settings, the command of all."""
        return str(self.about.get("across") or self.about["command"])

    @property
    def setup(self) -> dict[str, Any]:
        """How it was trained, in the first of several settings; empty where an earlier version kept nothing."""
        setup = self.about.get("setup") or {}
        return next((one for one in setup.values() if isinstance(one, dict)), setup)

    def what(self) -> str:
        """Return data and scale of its baseline in a few words."""
        first = self.trials.iloc[0]
        size = f.count(int(self.table["params"].iloc[0]))
        epochs, images = f.plural(int(first["epochs"]), "epoch"), f"{int(first['train_size']):,} images"
        batches = f"batches of {int(first['batch_size'])}"
        if optimizer := self.setup.get("optimizer"):
            batches += f" by {optimizer}"
        if first["precision"] != "float32":
            batches += f" in {first['precision']}"
        pixels = f"{int(first['image_size'])} pixels"
        return f"{self.about['dataset']}, {epochs} of {images} at {pixels}, {batches}, {size} parameters"

    def machines(self) -> str:
        """Return the processors and versions of PyTorch that trained it, empty if unknown."""
        environments = self.about.get("training_environments", [])
        return ", ".join(sorted({f"{one['cpu_capability']} CPU, torch {one['torch']}" for one in environments}))

    def core_hours(self) -> float:
        """Return the core-hours of its trials, including those that it shares with other runs."""
        return float(self.trials.drop_duplicates("key")["train_seconds"].sum()) / 3600


def published_runs(results: Path) -> list[PublishedRun]:
    """Return the published runs by the name of their folder; each setting counts as a run.

    Those below `local`, where runs are written by default, are not published.
    """
    return [
        PublishedRun(
            name=str(path.parent.relative_to(results)),
            about=with_version(json.loads(path.read_text(encoding="utf-8"))),
            table=pd.read_csv(path.parent / "table.csv"),
            trials=pd.read_csv(path.parent / "runs.csv"),
        )
        for path in sorted(results.rglob("provenance.json"))
        if (path.parent / "table.csv").is_file() and path.relative_to(results).parts[0] != "local"
    ]


def agreement(verdict: str, expected: Expected) -> str:
    """Return whether a verdict is what the paper's statement predicts."""
    if verdict == "inconclusive":
        return "undecided"
    return "agrees" if verdict == expected else "disagrees"


def index_page(results: Path) -> str:
    """Return the page: claims, the paper's tables, runs, devices, and the studies that were not run."""
    runs = published_runs(results)
    sections = [
        _head(runs),
        _claims(runs),
        ["## The paper's tables and figures", *paper_sections(results)],
        _runs(runs),
        ["## Latency and rooflines by device", *device_sections(results)],
        _not_run(runs),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(runs: list[PublishedRun]) -> list[str]:
    seconds = {key: time for run in runs for key, time in run.trials[["key", "train_seconds"]].to_numpy().tolist()}
    hours = sum(time for time in seconds.values() if f.is_number(time)) / 3600
    return [
        "# Published results",
        "",
        f"{len(runs)} runs of {len({run.about['study'] for run in runs})} studies:"
        f" {len(seconds)} trainings, {hours:.1f} core-hours. This page is written by `python -m benchmarks.published`"
        " from the folders beside it, and they from `records*.jsonl`.",
        "`python -m benchmarks.reproduce NAME` repeats a run at small scale and compares its verdicts.",
        "",
        "Differences are means over paired seeds in percentage points (pp), with 95 % intervals that hold for all"
        " comparisons of a run.",
    ]


def _claims(runs: list[PublishedRun]) -> list[str]:
    lines = ["## The paper's claims", "", "Chollet 2017, arXiv:1610.02357, in our words."]
    for claim in CLAIMS:
        rows = list(_evidence(claim, runs))
        lines += ["", f"### {claim.title}", "", f"*{claim.statement}* {claim.source}.", ""]
        if not rows:
            lines.append("*Not run.*")
            continue
        lines += [
            "| Run | Variant | Δ (pp) | n | Verdict | The paper's statement | Setting |",
            "| --- | --- | --: | --: | --- | --- | --- |",
        ]
        lines += [
            f"| [{run.name}]({run.name}/table.md) | {row['variant']} | {_interval(row)} | {int(row['n'])}"
            f" | {row['verdict']} | {agreement(row['verdict'], expected)} | {run.what()} |"
            for run, row, expected in rows
        ]
        against = [(run, row) for run, row, expected in rows if agreement(row["verdict"], expected) == "disagrees"]
        if against:
            found = "; ".join(f"{row['variant']} {row['verdict']}: {_interval(row)} pp" for _, row in against)
            lines += ["", f"Against the statement: {found}. {_NOT_THE_PAPERS}"]
            variants = {row["variant"] for _, row in against}
            agreeing = [
                f"{row['variant']} {row['verdict']} in {run.name}: {_interval(row)} pp"
                for run, row, expected in rows
                if row["variant"] in variants and agreement(row["verdict"], expected) == "agrees"
            ]
            if agreeing:
                lines += ["", f"In another setting it agrees: {'; '.join(agreeing)}. {_DEPENDS}"]
    return lines


def _evidence(claim: Claim, runs: list[PublishedRun]) -> Iterator[tuple[PublishedRun, dict[str, Any], Expected]]:
    for run in runs:
        for row in run.table.to_dict("records"):
            expected = claim.expected.get((run.about["study"], str(row["variant"])))
            if expected is not None:
                yield run, {str(name): value for name, value in row.items()}, expected


def _interval(row: dict[str, Any]) -> str:
    return f"{f.points(row['delta_mean'])} {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}"


def paper_sections(results: Path) -> list[str]:
    """Return the section of each study of the paper's tables and figures, cell by cell."""
    lines = [
        "",
        "Chollet 2017, arXiv:1610.02357, cell by cell. *Reproduced*: the same quantity comes out. *Proxy*: measured on"
        " other data, at another scale or on another machine. *Not attempted*: with the reason.",
    ]
    folders = {str(run.about["study"]): results / run.name for run in published_runs(results)}
    for name in PAPER_STUDIES:
        kept = folders[name] / "paper.md" if name in folders else None
        cells = paper_markdown(unrun_cells(name)) if kept is None else kept.read_text(encoding="utf-8")
        title = get_study(name).reference.rpartition(", ")[2]
        lines += ["", f"### {title}: {name}" + (", not run" if kept is None else ""), "", cells.strip()]
    return lines


def _runs(runs: list[PublishedRun]) -> list[str]:
    lines = [
        "## Every run",
        "",
        "Core-hours count trainings that runs share in each of them. Where a run names two processors, its baseline"
        " was trained on another one than some of its variants, with another version of PyTorch: what these change in"
        " the last bits is part of the differences.",
    ]
    for run in runs:
        lines += [
            "",
            f"### [{run.name}]({run.name}/table.md)",
            "",
            f"{run.about['question']} {run.what()}. {run.core_hours():.1f} core-hours"
            + (f" on {run.machines()}." if run.machines() else "."),
            "",
            "```text",
            run.command,
            "```",
            "",
            "| Variant | n | Δ (pp) | Verdict |",
            "| --- | --: | --: | --- |",
        ]
        for row in run.table.to_dict("records"):
            values = {str(name): value for name, value in row.items()}
            difference = "–" if values["verdict"] == "baseline" else _interval(values)
            lines.append(f"| {values['variant']} | {int(values['n'])} | {difference} | {values['verdict']} |")
    return lines


def _not_run(runs: list[PublishedRun]) -> list[str]:
    done = {run.about["study"] for run in runs}
    whole = [run for run in runs if "/" not in run.name and run.about["study"] in names()]
    rate = training_rate((run.about["study"], run.trials) for run in whole)
    hours = {name: None if rate is None else estimated_hours(name, rate) for name in names() if name not in done}
    lines = [
        "## Not run",
        "",
        f"Studies of the catalogue of which nothing is published, with what they would take at"
        f" `--scale {SIZE.scale} --train-size {SIZE.train_size} --epochs {SIZE.epochs} --seeds {SIZE.seeds}`, at the"
        f" median rate of the published trainings; trainings that studies share count in each:"
        f" {sum(one or 0 for one in hours.values()):.1f} core-hours in all.",
        "",
        "| Study | Question | Status | Core-hours, estimated |",
        "| --- | --- | --- | --: |",
    ]
    return lines + [
        f"| {name} | {get_study(name).question} | *not run* | {'–' if one is None else f'{one:.1f}'} |"
        for name, one in hours.items()
    ]
