"""The structure of the project: imports go downwards only, and what must answer quickly imports nothing heavy."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.command import ROOT, call

# From the top downwards: a module may import from its own room, and from whatever stands below it.
ROOMS = {
    "search": ["commands", "results", "benchmark", "engine", "spaces", "design"],
    "ablations": [
        "commands",
        "running",
        "reporting",
        "execution",
        "analysis",
        "costs",
        "studies",
        "design",
        "records",
        "statistics",
    ],
    "xception": ["commands", "profile", "train", "data", "network", "cuda", "base"],
}
FLOORS = [f"{package}.{room}" for package, rooms in ROOMS.items() for room in rooms]
FRONT_DOORS = {"run_ablation", "search.__main__", "ablations.__main__", "xception.__main__"}
# What a package offers by itself, from any of its rooms, imported on first use.
OFFERS = {"xception": "xception.network", "ablations": "ablations.running"}


def modules() -> dict[str, Path]:
    files = [p for package in ROOMS for p in sorted((ROOT / package).rglob("*.py"))] + [ROOT / "run_ablation.py"]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}


def imported(path: Path, known: set[str]) -> set[str]:
    """Every module of ours that a file imports, lazily and by string included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known - set(ROOMS):
            found.add(node.value)
    return {name for name in found if name.partition(".")[0] in ROOMS or name == "run_ablation"}


def floor(name: str) -> int:
    """The height of a module's room, 0 being the top; front doors and packages themselves stand above all rooms."""
    room = ".".join(name.split(".")[:2])
    return FLOORS.index(room) if room in FLOORS else -1


def test_every_module_is_in_a_room() -> None:
    known = modules()
    assert len(known) > 200
    loose = {name for name in known if floor(name) < 0} - set(ROOMS) - FRONT_DOORS
    assert not loose
    deep = {
        name for name, path in known.items() if len(path.relative_to(ROOT).parts) > 3 and path.name != "__init__.py"
    }
    assert not deep, "rooms have one level"


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_downwards(name: str) -> None:
    known = modules()
    for other in imported(known[name], set(known)):
        if other in ROOMS:
            assert name in FRONT_DOORS or other in OFFERS, f"{name} imports the package {other}"
            assert name not in known or floor(name) <= FLOORS.index(OFFERS[other]), f"{name} imports {other} upwards"
        elif name not in ROOMS:
            assert floor(name) <= floor(other), f"{name} imports {other}, which stands above it"


def test_only_front_doors_import_commands() -> None:
    known = modules()
    for name, path in known.items():
        if name in FRONT_DOORS or name.split(".")[1:2] == ["commands"]:
            continue
        assert not {other for other in imported(path, set(known)) if ".commands" in other}, name


def test_nothing_imports_results_or_tests() -> None:
    for path in modules().values():
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        roots = {n.module.partition(".")[0] for n in tree if isinstance(n, ast.ImportFrom) and n.module}
        assert not roots & {"results", "tests", "benchmarks"}, path


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
    code = "import sys, xception; print('torch' in sys.modules); xception.Xception; print('torch' in sys.modules)"
    assert call("-c", code).stdout.split() == ["False", "True"]


def test_list_is_one_json_document() -> None:
    studies = json.loads(call("run_ablation.py", "--list", "--json").stdout)
    for study in studies:
        assert study["question"].endswith("?"), study["name"]
        assert len(study["variants"]) >= 2
        assert study["num_trials"] >= len(study["variants"])
