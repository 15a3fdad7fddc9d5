"""Every file that is read or written as text names its encoding, so that the locale is irrelevant to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("xception", "ablations", "search", "benchmarks", "tests")
_TEXT_MODES = set("rwax+t")


def unnamed(source: str) -> Iterator[int]:
    """The lines of calls that read or write text in the locale's encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {word.arg: word.value for word in node.keywords}
        if "encoding" in keywords or None in keywords:
            continue
        of_os = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in (
            "os",
            "Image",
            "tarfile",
            "gzip",
        )
        constants = [arg.value for arg in (*node.args, *keywords.values()) if isinstance(arg, ast.Constant)]
        modes = [c for c in constants if isinstance(c, str) and 0 < len(c) < 4 and set(c) <= _TEXT_MODES | {"b"}]
        match name:
            case "read_text":
                yield from [node.lineno] * (len(node.args) == 0)
            case "write_text":
                yield from [node.lineno] * (len(node.args) == 1)
            case "open" if not of_os:
                yield from [node.lineno] * (not any("b" in mode for mode in modes))
            case "fdopen" | "NamedTemporaryFile" | "TemporaryFile":
                is_text = any(set(mode) <= _TEXT_MODES for mode in modes) or (name == "fdopen" and not modes)
                yield from [node.lineno] * is_text
            case "run" | "Popen" | "check_output":
                is_text = any(
                    w in keywords and ast.unparse(keywords[w]) == "True" for w in ("text", "universal_newlines")
                )
                yield from [node.lineno] * is_text


@pytest.mark.parametrize(
    ("source", "num"),
    [
        ("p.read_text()", 1),
        ("p.read_text(encoding='utf-8')", 0),
        ("p.write_text('a')", 1),
        ("p.write_text('a', 'utf-8')", 0),
        ("open(p)", 1),
        ("open(p, 'rb')", 0),
        ("p.open('w')", 1),
        ("p.open(mode='wb')", 0),
        ("os.open(p, flags)", 0),
        ("subprocess.run(c, text=True)", 1),
        ("subprocess.run(c, text=True, encoding='utf-8')", 0),
        ("tempfile.NamedTemporaryFile('w')", 1),
    ],
)
def test_what_is_looked_for_is_found(source: str, num: int) -> None:
    assert len(list(unnamed(source))) == num


def test_every_text_file_names_its_encoding() -> None:
    paths = [ROOT / "run_ablation.py", *(path for name in CODE[:-1] for path in sorted((ROOT / name).rglob("*.py")))]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in unnamed(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)
