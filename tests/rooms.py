"""The rooms of the project, their sizes and the imports between them.

python -m tests.rooms            # a table: lines, modules, and the rooms that each imports
python -m tests.rooms --mermaid  # the graph as docs/architecture.md draws it
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xception.base.command_line import parse

__all__ = ["FLOORS", "FRONT_DOORS", "OFFERS", "ROOMS", "floor", "imported", "mermaid", "modules", "room_of"]

ROOT = Path(__file__).parent.parent
# From the top downwards: a module may import from its own room and from those below it.
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
# What a package itself exports, from any of its rooms, imported on first use.
OFFERS = {"xception": "xception.network", "ablations": "ablations.running"}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    mermaid: bool = False
    """Print the graph in Mermaid's language."""


def modules() -> dict[str, Path]:
    """Return every module of the product by its name."""
    files = [p for package in ROOMS for p in sorted((ROOT / package).rglob("*.py"))] + [ROOT / "run_ablation.py"]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}


def imported(path: Path, known: set[str]) -> set[str]:
    """Return every module of ours that a file imports, lazily and by string included."""
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


def room_of(name: str) -> str:
    """Return the room of a module; a front door or a package itself is its own."""
    room = ".".join(name.split(".")[:2])
    return room if room in FLOORS else name


def floor(name: str) -> int:
    """Return the height of a module's room, 0 being the top; front doors and packages are above all rooms."""
    room = room_of(name)
    return FLOORS.index(room) if room in FLOORS else -1


def _graph() -> dict[str, set[str]]:
    """The rooms that each room and front door imports."""
    known = modules()
    graph: dict[str, set[str]] = {name: set() for name in [*sorted(FRONT_DOORS), *FLOORS]}
    for name, path in known.items():
        if name not in ROOMS:
            found = {room_of(OFFERS.get(other, other)) for other in imported(path, set(known))}
            graph[room_of(name)] |= found - {room_of(name)} - FRONT_DOORS - {"search"}
    return graph


def mermaid() -> str:
    """Return the graph of rooms: a box for each package, an arrow for each import between neighbours in it or packages.

    An arrow that follows from two others is left out.
    """
    graph = _graph()
    reach: dict[str, set[str]] = {}
    for name in [*reversed(FLOORS), *sorted(FRONT_DOORS)]:
        reach[name] = graph[name].union(*(reach[other] for other in graph[name]))
    lines = ["graph TD"]
    for package, rooms in ROOMS.items():
        lines += [f"  subgraph {package}", *(f"    {package}.{room}[{room}]" for room in rooms), "  end"]
    for name, others in graph.items():
        needed = sorted(o for o in others if not any(o in reach[between] for between in others - {o}))
        lines += [f"  {name} --> {other}" for other in needed]
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if parse(Arguments, args, prog="python -m tests.rooms", description="The rooms of the project.").mermaid:
        print(mermaid())
        return 0
    known, graph = modules(), _graph()
    sizes: dict[str, list[int]] = {}
    for name, path in known.items():
        sizes.setdefault(room_of(name), []).append(len(path.read_text(encoding="utf-8").splitlines()))
    for room, others in graph.items():
        lines = sizes.get(room, [0])
        print(f"{room:<24}{sum(lines):>7,} lines{len(lines):>4} modules   {', '.join(sorted(others, key=floor))}")
    for package in (*ROOMS, "run_ablation"):
        lines = [sum(n) for room, n in sizes.items() if room.partition(".")[0] == package]
        print(f"{package:<24}{sum(lines):>7,} lines")
    print(f"{'in all':<24}{sum(map(sum, sizes.values())):>7,} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
