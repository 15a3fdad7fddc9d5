"""The shape of the project: imports go downwards only, and what must be quick imports nothing heavy."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.command import ROOT, call

LEVELS = {"xception": 0, "ablations": 1, "search": 2, "run_ablation": 3}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def modules() -> list[Path]:
    return [p for package in ("xception", "ablations", "search") for p in sorted((ROOT / package).rglob("*.py"))]


def test_imports_go_downwards() -> None:
    assert len(modules()) > 20
    for path in modules():
        own = LEVELS[path.relative_to(ROOT).parts[0]]
        upwards = {name for name in imported(path) if LEVELS.get(name, -1) > own}
        assert not upwards, f"{path.relative_to(ROOT)} imports {sorted(upwards)}, which stand above it"


def test_nothing_imports_results_or_tests() -> None:
    for path in modules():
        assert not imported(path) & {"results", "tests", "benchmarks"}, path


@pytest.mark.parametrize("arguments", [["--list"], ["--list", "--json"]])
def test_listing_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, io, contextlib, run_ablation\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out: status = run_ablation.main(sys.argv[1:])\n"
        "heavy = {'torch', 'pandas', 'sqlalchemy', 'rich', 'scipy', 'matplotlib', 'optuna'} & set(sys.modules)\n"
        "print(status, len(out.getvalue()) > 100, sorted(heavy))"
    )
    assert call("-c", code, *arguments).stdout.split("\n")[0] == "0 True []"


def test_library_imports_the_network_on_first_use() -> None:
    code = "import sys, xception, ablations; before = 'torch' in sys.modules; xception.Xception; print(before, 'torch' in sys.modules)"
    assert call("-c", code).stdout.split() == ["False", "True"]


def test_list_is_one_json_document() -> None:
    studies = json.loads(call("run_ablation.py", "--list", "--json").stdout)
    for study in studies:
        assert study["question"].endswith("?"), study["name"]
        assert len(study["variants"]) >= 2
        assert study["num_trials"] >= len(study["variants"])
