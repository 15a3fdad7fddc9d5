"""The structure of the project: imports go downwards only, and commands that must be fast import nothing heavy."""

from __future__ import annotations

import ast
import json
import re

import pytest

from tests.command import ROOT, call
from tests.rooms import FLOORS, FRONT_DOORS, OFFERS, ROOMS, floor, imported, mermaid, modules


def test_every_module_is_in_a_room() -> None:
    known = modules()
    assert len(known) > 200
    loose = {name for name in known if floor(name) < 0} - set(ROOMS) - FRONT_DOORS
    assert not loose
    deep = {
        name for name, path in known.items() if len(path.relative_to(ROOT).parts) > 3 and path.name != "__init__.py"
    }
    assert not deep, "rooms have one level"


def test_every_room_has_a_folder_of_tests() -> None:
    assert not [room for room in FLOORS if not (ROOT / "tests" / room.replace(".", "/")).is_dir()]


def test_long_modules_say_why() -> None:
    for folder in ("xception", "ablations", "search", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if len(text.splitlines()) > 350:
                assert "One module, since " in (ast.get_docstring(ast.parse(text)) or ""), (
                    f"{path}: split it, or say why"
                )


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_downwards(name: str) -> None:
    known = modules()
    for other in imported(known[name], set(known)):
        if other in ROOMS:
            assert name in FRONT_DOORS or other in OFFERS, f"{name} imports the package {other}"
            assert name not in known or floor(name) <= FLOORS.index(OFFERS[other]), f"{name} imports {other} upwards"
        elif name not in ROOMS:
            assert floor(name) <= floor(other), f"{name} imports {other}, which is above it"


def test_only_front_doors_import_commands() -> None:
    known = modules()
    benchmarks = {f"benchmarks.{path.stem}": path for path in (ROOT / "benchmarks").glob("*.py")}
    for name, path in (known | benchmarks).items():
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
        "heavy |= {'email', 'logging', 'socket', 'statistics'} & set(sys.modules)  # together a tenth of the time\n"
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


def test_the_architecture_page_has_every_room_and_import() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, drawn = page.partition("```mermaid\n")
    assert drawn.partition("```")[0].split() == mermaid().split(), "python -m tests.rooms --mermaid"
    assert not [room for room in FLOORS if f"`{room.replace('.', '/')}/`" not in page]


def test_tests_use_no_private_names_of_modules() -> None:
    packages = {name.partition(".")[0] for name in modules()}
    private = []
    for path in (ROOT / "tests").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        own = [node for node in own if str(node.module).partition(".")[0] in packages]
        names = {(f"{node.module}.{alias.name}", alias.asname or alias.name) for node in own for alias in node.names}
        private += [f"{path.name} imports {full}" for full, _ in names if full.rpartition(".")[2].startswith("_")]
        aliases = {short for full, short in names if full in modules()}
        private += [
            f"{path.name} uses {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id in aliases and re.match("_[^_]", node.attr)
        ]
    assert not private
