"""A display table in Markdown, LaTeX and HTML: nothing in a name is interpreted as markup."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ablations.reporting import markup, tables
from tests import frames


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_are_never_markup() -> None:
    people = tables.display_table(frames.comparison(frames.cases()["hostile"]), title="<i>t</i> & $")
    page = _Page()
    page.feed(markup.to_html(people))
    around = {"html", "head", "meta", "title", "style", "body", "main"}
    assert set(page.tags) - around == {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong"}
    for name in frames.HOSTILE:
        assert name in page.text
    markdown = markup.to_markdown(people)
    assert not re.search(r"<(?![\d.])", markdown)  # "<0.001" begins no tag
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX engine on this machine")
@pytest.mark.parametrize("name", ["normal", "hostile", "twelve_long", "two_hundred"])
def test_latex_compiles_alone_and_inside_a_paper(name: str, tmp_path: Path) -> None:
    frame = (
        frames.cases()[name] if name != "two_hundred" else frames.records([f"variant_{i}" for i in range(60)], seeds=1)
    )
    people = tables.display_table(frames.comparison(frame), title="100% of $ & #")
    (tmp_path / "table.tex").write_text(markup.to_latex(people, label="tab:a_b{"), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx,longtable}\\begin{document}Before.\\input{table.tex}After.\\end{document}"
    )
    for file in ("table.tex", "paper.tex"):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, done.stdout[-600:]
    assert r"\toprule" in (tmp_path / "table.tex").read_text(encoding="utf-8")
