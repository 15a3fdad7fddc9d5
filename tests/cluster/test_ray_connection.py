"""Connecting to Ray, with Ray itself left out: which errors are retried and which are reported."""

from __future__ import annotations

import signal
from types import FrameType

import pytest

from ablations.execution.ray_connection import connect_ray

ray = pytest.importorskip("ray", reason="the package ray is not here: the extra `ray` has it")
TIMED_OUT = "The current node timed out during startup. This could happen because ..."


class Ray:
    """Replaces `ray.init` and `ray.shutdown`: fails a number of times, then succeeds."""

    def __init__(self, failures: list[str]) -> None:
        self.failures = failures
        self.calls: list[str] = []

    def init(self, **_: object) -> None:
        self.calls.append("init")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray itself reads this variable
        if self.failures:
            raise Exception(self.failures.pop(0))

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def connect(monkeypatch: pytest.MonkeyPatch, failures: list[str], address: str | None = None) -> Ray:
    fake = Ray(failures)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fake.init)
    monkeypatch.setattr(ray, "shutdown", fake.shutdown)
    monkeypatch.setattr("ablations.execution.ray_connection.os.environ", {})
    connect_ray(address)
    return fake


def test_a_cluster_of_our_own_that_a_busy_machine_starts_too_slowly_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connect(monkeypatch, [TIMED_OUT, TIMED_OUT]).calls == ["init", "shutdown", "init", "shutdown", "init"]


@pytest.mark.parametrize("failures", [[], ["no space"]])
def test_a_signal_does_what_it_did_before(failures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def ours(_number: int, _frame: FrameType | None) -> None: ...

    before = signal.signal(signal.SIGTERM, ours)
    try:
        if failures:
            with pytest.raises(ValueError, match="no space"):
                connect(monkeypatch, failures)
        else:
            connect(monkeypatch, failures)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("failures", "address", "words"),
    [
        ([TIMED_OUT] * 9, None, "no cluster could be started here: The current node timed out"),
        (["no\nspace"], None, "no cluster could be started here: no space"),
        ([TIMED_OUT], "auto", "'auto' cannot be joined"),
    ],
)
def test_an_option_without_effect_is_reported_in_one_line(
    failures: list[str], address: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        connect(monkeypatch, failures, address)
    assert "\n" not in str(caught.value)
