"""The display of a run: the line and number of a finished trial, and a terminal that is resized."""

from __future__ import annotations

import io
import os

import pytest

from ablations.execution.events import Finished, Started
from ablations.execution.progress import Label, ProgressDisplay
from ablations.records.record import Record


class Terminal(io.StringIO):
    """A stream that reports being a terminal."""

    def isatty(self) -> bool:
        return True


def record(key: str) -> Record:
    return Record(key=key, trial="{}", status="complete", val_accuracy=0.25, test_accuracy=0.75)


def label(variant: str, *, is_tuning: bool = False) -> Label:
    return Label(variant=variant, seed=0, num_epochs=1, cost=1.0, is_tuning=is_tuning)


def test_a_tuning_trial_shows_its_validation_accuracy_and_the_rest_that_of_the_test() -> None:
    stream = io.StringIO()
    display = ProgressDisplay(stream=stream)
    with display:
        display.expect({"a": label("on"), "b": label("on, tuning trial 1", is_tuning=True)})
        for key in "ab":
            display.show(Started(key))
            display.show(Finished(record(key)))
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[1/2] on, seed 0: test accuracy 75.00%")
    assert second == "[2/2] on, tuning trial 1, seed 0: validation accuracy 25.00%"


@pytest.mark.parametrize(("at_most", "told"), [(False, "[1/7] on"), (True, "[1 of at most 7] on")])
def test_a_line_has_the_number_of_trials_from_the_first_on(at_most: bool, told: str) -> None:
    stream = io.StringIO()
    display = ProgressDisplay(stream=stream)
    display.foresee(7, at_most=at_most)
    display.expect({"a": label("on")})
    display.show(Started("a"))
    display.show(Finished(record("a")))
    assert stream.getvalue().startswith(told)


def test_a_resized_terminal_is_cleared_and_gets_its_last_lines_again(monkeypatch: pytest.MonkeyPatch) -> None:
    size = [100, 40]
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size(size))
    stream = Terminal()
    display = ProgressDisplay(stream=stream)
    with display:
        display.expect({"a": label("on")})
        display.say("said before")
        before = stream.getvalue()
        size[0] = 50
        display.say("said after")
    after = stream.getvalue()[len(before) :]
    assert "\x1b[2J" not in before
    cleared = after.index("\x1b[2J\x1b[H")
    assert "said before" in after[cleared:]
