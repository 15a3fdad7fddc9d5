"""Trackers: each writes files that its own reader reads; a tracker that fails is dropped and the trials continue."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import ablations
from ablations.execution.events import Epoch, Event, Finished
from ablations.execution.progress import Label, ProgressDisplay
from ablations.execution.tensorboard import TensorBoard
from ablations.execution.trackers import TrackedTrial, Tracker, Trackers, parameters_of
from ablations.execution.weights_and_biases import WeightsAndBiases
from ablations.records.record import Record
from ablations.running import context
from tests.trials import small_trial

pytestmark = pytest.mark.usefixtures("svg_alone")

ROWS = [{"epoch": e, "train_loss": 2.0 / e, "val_loss": 2.5 / e, "val_accuracy": 0.25 * e} for e in (1, 2)]
LABEL = Label(
    variant="../with / residuals", seed=3, num_epochs=2, cost=1.0, parameters={"recipe.optimizer.momentum": 0.5}
)


class Recorded:
    """A tracker that stores its calls."""

    name = "a note"

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at, self.noted = fails_at, list[str]()
        self.trials: list[TrackedTrial] = []

    def epoch(self, trial: TrackedTrial, row: Mapping[str, Any]) -> None:
        self._note(f"epoch {row['epoch']}")
        self.trials.append(trial)

    def finish(self, trial: TrackedTrial, record: Record) -> None:
        self._note(f"finish {record.status}")
        self.trials.append(trial)

    def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        if self.fails_at and what.startswith(self.fails_at):
            raise ConnectionError(f"no way\nto {what}")
        self.noted.append(what)


def track(*trackers: Tracker) -> list[str]:
    """The lines printed while two trials run at the same time and only the events of the first are shown."""
    said: list[str] = []
    record = Record(key="k" * 64, trial="{}", status="complete", test_accuracy=0.5, params=10, curves=ROWS)
    events: list[Event] = [*(Epoch(key * 64, row) for row in ROWS for key in "jk"), Finished(record)]
    with Trackers(trackers, "residuals", said.append) as log:
        display = ProgressDisplay(logs=[log])
        display.expect({"k" * 64: LABEL, "j" * 64: Label(variant="other", seed=0, num_epochs=2, cost=1.0)})
        for event in events:
            display.show(event)
    return said


@pytest.mark.parametrize("fails_at", ["epoch 1", "epoch 2", "finish", "close"])
def test_a_tracker_that_fails_is_given_up_alone(fails_at: str) -> None:
    failing, good = Recorded(fails_at), Recorded()
    (line,) = track(failing, good)
    assert line.startswith("a note is dropped, the trials continue: ConnectionError: no way to ")
    assert good.noted == ["epoch 1", "epoch 1", "epoch 2", "epoch 2", "finish complete", "close"]
    assert "close" not in failing.noted


def test_a_study_continues_without_its_tracker_which_gets_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing, good = Recorded("epoch 1"), Recorded()
    monkeypatch.setattr(context, "trackers_of", lambda options, run: [failing, good])
    out = ablations.run("residuals", out=tmp_path, scale="smoke", dataset="synthetic", train_size=32, seeds=1, epochs=1)
    assert (out.frame["status"] == "complete").all()
    assert "a note is dropped" in capsys.readouterr().err
    assert good.noted.count("finish complete") == 2
    by_key = {trial.key: trial for trial in good.trials}
    assert set(by_key) == set(out.frame["key"])
    for trial in by_key.values():
        assert (trial.study, trial.seed, trial.parameters["recipe.epochs"]) == ("residuals", 0, 1)
        assert trial.parameters["recipe.optimizer.learning_rate"] == 0.1
    assert {trial.variant for trial in by_key.values()} == {"with residuals", "without residuals"}


def test_parameters_are_all_fields_by_path() -> None:
    found = parameters_of(small_trial(3))
    assert (found["seed"], found["recipe.optimizer"], found["recipe.optimizer.momentum"]) == (3, "SGD", 0.9)
    assert found["recipe.transfer"] is None
    assert json.loads(json.dumps(found)).keys() == found.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from tensorboard's own imports
def test_tensorboard_reads_parameters_curves_and_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert track(TensorBoard(tmp_path)) == []
    (folder,) = [p.parent for p in tmp_path.rglob("events.*") if p.parent.name == "seed 3"]
    assert folder.is_relative_to(tmp_path)
    events = EventAccumulator(str(folder)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("val_accuracy")] == [(1, 0.25), (2, 0.5)]
    assert [e.value for e in events.Scalars("test_accuracy")] == [0.5]
    assert [e.value for e in events.Scalars("params")] == [10]
    (text,) = events.Tensors("parameters/text_summary")
    about = json.loads(text.tensor_proto.string_val[0].decode().strip("`\n"))
    assert about == {"key": "k" * 64, "study": "residuals", "recipe.optimizer.momentum": 0.5}


def entries(log: bytes) -> Iterator[bytes]:
    """The entries of a log in LevelDB's format, which Weights & Biases stores after a header of 7 bytes: blocks of 32
    KiB with pieces of entries, each after 7 bytes, the last three of which give its length and kind.
    """
    place, piece = 7, b""
    while place + 7 <= len(log):
        if 32_768 - place % 32_768 < 7:
            place += 32_768 - place % 32_768
            continue
        length, kind = struct.unpack_from("<HB", log, place + 4)
        part = log[place + 7 : place + 7 + length]
        piece = part if kind in (1, 2) else piece + part  # 1 whole, 2 first, 3 middle, 4 last
        if kind in (1, 4):
            yield piece
        place += 7 + length


def test_weights_and_biases_reads_parameters_curves_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    messages: Any = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert track(WeightsAndBiases("xception", tmp_path)) == []
    wandb.teardown()
    found: dict[str, dict[str, Any]] = {}
    for path in tmp_path.rglob("*.wandb"):
        kept: dict[str, Any] = {"history": [], "summary": {}}
        for data in entries(path.read_bytes()):
            entry = messages.Record.FromString(data)
            if entry.HasField("run"):
                kept |= {"name": entry.run.display_name, "group": entry.run.run_group, "kind": entry.run.job_type}
                kept |= {"project": entry.run.project}
                kept["config"] = {i.key: json.loads(i.value_json) for i in entry.run.config.update}
            elif entry.HasField("history"):
                kept["history"].append(
                    {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in entry.history.item}
                )
            elif entry.HasField("summary"):
                kept["summary"] |= {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in entry.summary.update}
            elif entry.HasField("exit"):
                kept["exit"] = entry.exit.exit_code
        found[kept["name"]] = kept
    assert set(found) == {"k" * 12, "j" * 12}
    run = found["k" * 12]
    assert (run["project"], run["group"], run["kind"]) == ("xception", "residuals", "../with / residuals")
    assert run["config"].items() >= {"key": "k" * 64, "seed": 3, "recipe.optimizer.momentum": 0.5}.items()
    assert [(row["_step"], row["val_accuracy"], row["train_loss"]) for row in run["history"]] == [
        (1, 0.25, 2.0),
        (2, 0.5, 1.0),
    ]
    assert run["summary"].items() >= {"test_accuracy": 0.5, "params": 10, "status": "complete"}.items()
    assert (run["exit"], found["j" * 12]["exit"]) == (0, 1)


@pytest.mark.parametrize("project", ["", "a/b", "a:b"])
def test_a_projects_name_is_checked_before_training(project: str, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    with pytest.raises(ValueError, match=r"^--wandb: .* is not allowed; a project's name"):
        WeightsAndBiases(project, tmp_path)
