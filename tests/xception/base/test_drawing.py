"""A backend that the environment names has no effect on figures that are written to files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.command import ROOT, call

SCRIPT = """
import os, sys
from xception.base.drawing import load_matplotlib
assert "matplotlib" not in sys.modules
from ablations.reporting import style
with style.context():
    figure = style.new_figure(2.0)
    figure.subplots().plot([1, 2])
    for kind in ("png", "svg", "pdf"):
        figure.savefig(sys.argv[1] + "." + kind)
import matplotlib
print(os.environ["MPLBACKEND"], matplotlib.rcParams["backend"])
"""


@pytest.mark.parametrize(
    ("named", "kept"), [("module://matplotlib_inline.backend_inline", None), ("nonsense", None), ("svg", "svg")]
)
def test_any_backend_in_the_environment_is_irrelevant_to_files(tmp_path: Path, named: str, kept: str | None) -> None:
    done = call("-c", SCRIPT, str(tmp_path / "figure"), env={"MPLBACKEND": named})
    told, backend = done.stdout.split()
    assert told == named
    assert kept is None or backend == kept
    assert all((tmp_path / f"figure.{kind}").stat().st_size > 1000 for kind in ("png", "svg", "pdf"))


def test_every_function_that_imports_matplotlib_loads_it_so() -> None:
    missing = []
    for path in (p for name in ("xception", "ablations", "search") for p in (ROOT / name).rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or function.name == "load_matplotlib":
                continue
            imported = [node.module for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
            imported += [a.name for node in ast.walk(function) if isinstance(node, ast.Import) for a in node.names]
            calls = [ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)]
            if any((name or "").split(".")[0] in ("matplotlib", "seaborn") for name in imported):
                missing += [f"{path.relative_to(ROOT)}: {function.name}"] * ("load_matplotlib" not in calls)
    assert not missing, "\n".join(missing)
