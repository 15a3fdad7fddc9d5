"""Every option of the command line is a keyword of `ablations.run`, and survives a round trip through arguments."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import ablations
from ablations.design.options import BackendOptions, Options, RunOptions, selected
from run_ablation import Arguments
from search.design.options import ExhaustOptions, SearchOptions
from xception.base.command_line import parse


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_command_lines_share_the_options_of_a_run() -> None:
    assert names(Arguments) - names(Options) == {
        "study",
        "list",
        "fields",
        "report",
        "dry_run",
        "json",
        "recipes",
        "resume_from",
    }
    assert names(RunOptions) <= names(Options) & names(SearchOptions) & names(ExhaustOptions)


def test_what_changes_no_trial_is_no_override() -> None:
    here = {
        "device": "cpu",
        "workers": 3,
        "out": Path("elsewhere"),
        "store": "sqlite:///x.db",
        "tensorboard": True,
        "wandb": "p",
    }
    assert Options(**here).overrides() == []  # type: ignore[arg-type]
    assert Options(**here).arguments() == ["--store", "sqlite:///x.db", "--out", "elsewhere"]  # type: ignore[arg-type]
    assert not names(BackendOptions) & {word[2:] for word in Options(seeds="auto", tune=2).overrides()}


def test_paths_may_be_given_as_text() -> None:
    assert Options(out="x", data_dir="y") == Options(out=Path("x"), data_dir=Path("y"))  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [None, 4, "auto"])
def test_arguments_are_read_as_the_options_that_they_came_from(seeds: int | None) -> None:
    asked = Options(scale="quick", seeds=seeds, epochs=3, match="macs", data_dir=Path("/data"), store="sqlite:///x.db")
    again = parse(Arguments, ["--study", "residuals", *asked.arguments()], prog="x", description="x")
    assert selected(Options, again) == asked


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="epoch"):
        ablations.run("residuals", epoch=3)
