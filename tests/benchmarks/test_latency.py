"""The comparison of latency methods: its arithmetic on methods with known results, and its refusals in one line."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import latency
from benchmarks.latency import FIRST, LARGER, SAME, Latencies
from xception.profile.protocol import LatencyProtocol


def test_verdicts_are_those_that_were_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, list[Latencies]] = {
        "protocol": [{FIRST: 2.0, SAME: 2.0, LARGER: 4.0}, {FIRST: 2.0, SAME: 2.02, LARGER: 4.0}],
        "naive": [{FIRST: 2.0, SAME: 3.0, LARGER: 5.0}, {FIRST: 4.0, SAME: 3.0, LARGER: 4.0}],
    }
    turns = {name: iter(said) for name, said in answers.items()}
    monkeypatch.setattr(
        latency, "methods", lambda _: {name: lambda _d, _p, name=name: next(turns[name]) for name in answers}
    )
    verdicts = latency.compare(torch.device("cpu"), LatencyProtocol(), 2)
    ours, naive = verdicts["protocol"], verdicts["naive"]
    assert (ours.latency_ms, ours.spread, ours.told_apart, ours.larger_over_first) == (2.0, 1.0, 0.0, 2.0)
    assert (ours.ratio_low, ours.ratio_high) == (1.0, 1.01)
    assert (naive.latency_ms, naive.spread, naive.worst_error, naive.told_apart) == (3.0, 2.0, 0.5, 1.0)


def test_every_method_measures_every_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "SHORT", 1)
    monkeypatch.setattr("xception.profile.workload._CPU_CACHE_BYTES", 1)
    assert latency.main(["--short", "--json", "--device", "cpu"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["methods"]) == ["protocol", "mean_after_one", "mean_from_cold"]
    assert all(verdict["latency_ms"] > 0 for verdict in document["methods"].values())
    assert document["environment"]["num_threads"] == 1


@pytest.mark.parametrize("args", [["--device", "cuda:9"], ["--threads", "0"], ["--nonsense"]])
def test_wrong_use_is_one_line(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        latency.main(args)
    told = capsys.readouterr()
    assert (end.value.code, told.out, len(told.err.splitlines())) == (2, "", 1)
