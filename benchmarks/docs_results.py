"""The page of published results and its figures, from what lies below `results/`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablations.records.record import with_version
from benchmarks.published_devices import device_sections
from benchmarks.published_index import paper_sections

__all__ = ["figures", "page"]


def _published(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = [
        (path.parent, with_version(json.loads(path.read_text(encoding="utf-8"))))
        for path in results.glob("*/provenance.json")
    ]
    return sorted(
        ((folder, about) for folder, about in found if (folder / "table.md").is_file()), key=lambda pair: pair[0].name
    )


def _published_settings(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The folders of published runs in several settings, each with its provenance."""
    found = [(path.parent, path.parent / "provenance.json") for path in sorted(results.glob("*/settings.md"))]
    return [(folder, json.loads(path.read_text(encoding="utf-8"))) for folder, path in found]


def page(results: Path) -> str:
    """Return the page in Markdown."""
    lines = [
        "# Results",
        "",
        "What is published below `results/`, each with the command that made it. Tables and figures are made again from"
        " the records by `python -m benchmarks.published`; [Files and columns](files.md) says what every column means."
        " Five thousand training images and a network of 0.1 M parameters are not ImageNet: see [Limits](limits.md)."
        " `results/README.md` is the index: the paper's claims and tables with our results, the cost of each run in"
        " core-hours, and what was not run.",
        "",
        "An *inception module* of these tables is that of the papers: a norm and an activation after every convolution"
        " of a tower. The *linear* forms have nothing between them.",
    ]
    for folder, about in _published(results):
        environments = about.get("training_environments", [])
        machines = sorted({f"{e['cpu_capability']} CPU, torch {e['torch']}" for e in environments})
        machine = "; ".join(machines) + (": a pair may have one trial of each" if len(machines) > 1 else "")
        lines += [
            "",
            f"## {folder.name.replace('_', ' ').removesuffix(' cpu').capitalize()}",
            "",
            f"**{about['question']}** {about['num_trials']} trials on {about['dataset']}"
            + (f", trained on {machine}." if machine else "."),
            "",
            "```text",
            about["command"],
            "```",
            "",
            *(line for line in (folder / "table.md").read_text(encoding="utf-8").strip().splitlines()),
            "",
            f"![Differences from the baseline: {folder.name}](images/results/{folder.name}.png)",
        ]
    for folder, about in _published_settings(results):
        lines += [
            "",
            f"## {folder.name.replace('_', ' ').removesuffix(' cpu').capitalize()}",
            "",
            "```text",
            about["command"],
            "```",
            "",
            *(folder / "settings.md").read_text(encoding="utf-8").strip().splitlines(),
            "",
            f"![Effect in each setting: {folder.name}](images/results/{folder.name}.png)",
        ]
    lines += ["", "## The paper's tables and figures", *paper_sections(results)]
    lines += ["", "## Latency and rooflines by device", *device_sections(results)]
    together = results / "together.md"
    lines += [
        "",
        "## All comparisons with one baseline, read together",
        "",
        together.read_text(encoding="utf-8").strip(),
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def figures(results: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each figure of the page with its path below the folder of the documentation."""
    yield "images/regret.png", (results / "table_quick_cpu" / "replay" / "figures" / "regret.png").read_bytes()
    yield "images/contest.png", (results / "contest_cpu" / "figures" / "contest.png").read_bytes()
    for folder, _ in _published(results):
        yield f"images/results/{folder.name}.png", (folder / "figures" / "differences.png").read_bytes()
    for folder, _ in _published_settings(results):
        yield f"images/results/{folder.name}.png", (folder / "figures" / "settings.png").read_bytes()
