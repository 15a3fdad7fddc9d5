"""The recipes of docs/how_to_add.md, carried out in a copy of the project exactly as on the page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.command import ROOT, call

PAGE = (ROOT / "docs" / "how_to_add.md").read_text(encoding="utf-8")
PACKAGES = ("xception", "ablations", "search")


def blocks() -> dict[str, str]:
    """The code blocks of the page, by the file named in their first line."""
    found = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == len(re.findall("```python", PAGE)) == 7
    return dict(found)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every recipe carried out: new files are written, existing ones extended."""
    folder = tmp_path_factory.mktemp("project")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in blocks().items():
        path = folder / name
        if name.endswith("columns.py"):
            code = f"COLUMNS = (*COLUMNS, {code.strip()})\n"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{old}\n\n{code}" if old else code, encoding="utf-8")
    return folder


def inside(project: Path, *args: str) -> str:
    return call(*args, cwd=project, env={"PYTHONPATH": str(project), "PYTHONWARNINGS": "default"}).stdout


@pytest.mark.long
def test_a_study_of_ones_own_runs_with_all_that_was_added(project: Path) -> None:
    printed = inside(project, "run_sandwich.py")
    heading, _, *rows = printed.splitlines()[:4]
    assert "Memory (MiB)" in heading
    assert [row.split("|")[1].strip() for row in rows] == ["separable", "sandwich"]
    assert "Data: stripes" in printed
    (folder,) = (project / "results" / "local").glob("*/provenance.json")
    assert json.loads(folder.read_text())["statuses"] == {"complete": 4}


def test_a_space_of_ones_own_is_searched(project: Path) -> None:
    words = ["--space", "heads_space.py", "--trials", "4", "--objectives", "params", "--confirm", "0"]
    inside(
        project, "-m", "search", *words, "--scale", "smoke", "--dataset", "stripes", "--workers", "1", "--out", "found"
    )
    (table,) = (project / "found").rglob("trials.csv")
    assert len(table.read_text().splitlines()) >= 5
