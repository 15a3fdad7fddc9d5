"""Dataclasses as command lines: parsed values, refusals with their messages, and the help."""

from __future__ import annotations

import importlib
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

import run_ablation
import xception
from tests.command import ROOT, call
from xception.base.command_line import POSITIONAL, parse


@dataclass(frozen=True, kw_only=True)
class General:
    """General things."""

    out: Path = Path("here")
    """Where to."""


@dataclass(frozen=True, kw_only=True)
class Options(General):
    """Special things: more follows."""

    images: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """What to look at."""
    store: str
    """Which one, at 100 %."""
    seeds: int | Literal["auto"] | None = None
    """How many."""
    rate: float = 0.5
    size: Literal["small", "large"] = "small"
    set: tuple[str, ...] = ()
    """May be repeated."""
    fast: Annotated[bool, "in a hurry"] = False


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("", {}),
        ("a.png b.png", {"images": (Path("a.png"), Path("b.png"))}),
        ("--set a=1 --set b=-2", {"set": ("a=1", "b=-2")}),
        ("--seeds auto --fast --rate=-1.5e-3", {"seeds": "auto", "fast": True, "rate": -0.0015}),
        ("--seeds=007 --out=x=y --size large", {"seeds": 7, "out": Path("x=y"), "size": "large"}),
        ("--seeds -3 --rate nan", {"seeds": -3}),
        ("--out 'a b'", {"out": Path("a b")}),
    ],
)
def test_words_become_options(line: str, changes: dict[str, Any]) -> None:
    options = parse(Options, ["--store", "x", *shlex.split(line)], prog="prog", description="")
    for name, value in ({"store": "x", "images": (), "set": (), "fast": False} | changes).items():
        assert getattr(options, name) == value


def test_underscores_stand_for_hyphens_in_names_alone() -> None:
    asked = parse(run_ablation.Arguments, ["--train_size=5"], prog="x", description="")
    assert asked.train_size == 5
    assert parse(Options, ["--store=a_b"], prog="x", description="").store == "a_b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the following arguments are required: --store"),
        ("--store", "--store: expected one argument"),
        ("--store x --store y", "--store: is given twice; it can be given once"),
        ("--store x --fats", "--fats: is not an option; did you mean --fast?"),
        ("--store x --qqq=3", "--qqq: is not an option; see --help"),
        ("--store x --fas", "--fas: is not an option; did you mean --fast?"),
        ("--store x --size huge", "--size: 'huge' is not allowed; small, large"),
        ("--store x --seeds many", "--seeds: 'many' is not allowed; a whole number, or auto"),
        ("--store x --seeds 1.5", "--seeds: '1.5' is not allowed; a whole number, or auto"),
        ("--store x --seeds ٣", "--seeds: '٣' is not allowed; a whole number, or auto"),
        ("--store x --rate fast", "--rate: 'fast' is not allowed; a number"),
        ("--store x --fast=true", "--fast: ignored explicit argument 'true'"),
        ("--store --fast", "--store: expected one argument"),
    ],
)
def test_wrong_use_is_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(Options, shlex.split(line), prog="prog", description="")
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"prog: {message}\n"


def test_help_groups_options_by_the_class_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(Options, ["-h"], prog="prog", description="What it is for.")
    assert caught.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    wanted = ("What it is for.", "General things: --out", "Where to. Default: here.", "Special things", "at 100 %")
    assert all(words in printed for words in (*wanted, "--seeds N|auto How many.", "in a hurry", "Default: 0.5."))


def test_every_option_of_the_front_door_is_explained() -> None:
    printed = call("run_ablation.py", "--help").stdout
    for name in run_ablation.Arguments.__dataclass_fields__:
        _, found, rest = printed.partition(f"\n  --{name.replace('_', '-')}")
        assert found, name
        assert len(rest.split("\n  --")[0].split()) > 3, f"{name} has no help"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("run_ablation", []),
        ("search.__main__", []),
        ("search.__main__", ["exhaust"]),
        ("ablations.__main__", []),
        ("ablations.__main__", ["show"]),
        ("xception.__main__", []),
        ("xception.__main__", ["describe"]),
    ],
)
def test_every_command_gives_its_version(module: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main([*words, "--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"xception-ablations {xception.__version__}\n"


def test_programs_are_installed_under_names_of_their_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) == {"xception", "xception-ablations", "xception-search"}
    for place in project["scripts"].values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run_ablation.py --study resid", {"residuals"}),
        ("run_ablation.py --match mac", {"macs"}),
        ("run_ablation.py --set recipe.optimizer.nest", {"recipe.optimizer.nesterov"}),
        ("run_ablation.py --tensorb", {"--tensorboard"}),
    ],
)
def test_a_shell_completes_what_is_typed(line: str, expected: set[str], tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")
    assert {word.strip() for word in _completions("run_ablation.py", line, tmp_path)} >= expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xception desc", {"describe"}),
        ("xception export --form", {"--format"}),
        ("xception export --format on", {"onnx"}),
    ],
)
def test_a_shell_completes_commands_and_their_options(line: str, expected: set[str], tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")
    assert {word.strip() for word in _completions("xception/__main__.py", line, tmp_path)} == expected


def _completions(program: str, line: str, folder: Path) -> list[str]:
    answer = folder / "answer"
    shell = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "PYTHONPATH": str(ROOT),
    }
    call(program, env=shell)
    return answer.read_text().split("\n")
