"""Plain command lines are read without tyro, to the same options; everything else is tyro's."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import tyro

import run_ablation
from xception.base import command_line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--list",
        "--list --json --scale smoke",
        "--study residuals --seeds auto --epochs 3 --trial-timeout 1.5",
        "--study=residuals --train_size 128 --out x",
        "--study residuals --data-dir ~/data --out=elsewhere --dry-run",
        "--study 'a name' --match params --cpus-per-trial 2 --workers 007",
        "--store sqlite:///x.db?mode=ro --report",
    ],
)
def test_plain_words_come_to_what_tyro_makes_of_them(line: str) -> None:
    words = shlex.split(line)
    expected = tyro.cli(run_ablation.Arguments, args=words, config=(tyro.conf.FlagCreatePairsOff,))
    assert command_line._parse_plain(run_ablation.Arguments, words) == expected


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "-h",
        "--nowhere",
        "--study",
        "--study --list",
        "--study -x",
        "residuals",
        "--list true",
        "--list=true",
        "--no-list",
        "--scale huge",
        "--epochs x",
        "--epochs -3",
        "--epochs 1.5",
        "--trial-timeout nan",
        "--study a --study b",
        "--study None",
        "--workers ''",
        "--epochs ٣",
    ],
)
def test_everything_else_is_left_to_tyro(line: str) -> None:
    assert command_line._parse_plain(run_ablation.Arguments, shlex.split(line)) is None


def test_a_missing_option_is_left_to_tyro() -> None:
    from ablations.__main__ import Arguments

    assert command_line._parse_plain(Arguments, ["--action", "check"]) is None
    assert command_line._parse_plain(Arguments, ["--action", "check", "--store", "x"]) == Arguments(
        action="check", store="x"
    )
    whole = command_line._parse_plain(Arguments, ["--action", "rebuild", "--store", "x", "--trials", "t"])
    assert whole is not None
    assert whole.trials == Path("t")
