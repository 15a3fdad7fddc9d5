"""The live report: rewritten after each trial, marked as provisional, and left behind only by a run that stops early.

Only the training itself is simulated.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from markupsafe import Markup

from ablations import studies
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.execution.backend import Backend
from ablations.execution.events import Event, Finished, Started
from ablations.execution.progress import ProgressDisplay
from ablations.execution.task import Task, failed
from ablations.records.store import Store
from ablations.reporting import explore
from ablations.reporting.own_files import require_own_page
from ablations.running import live as live_module
from ablations.running.across import plan_across
from ablations.running.context import Context
from ablations.running.live import LiveReport
from ablations.running.training import train
from tests.command import call_here

pytestmark = pytest.mark.usefixtures("svg_alone")


class MadeUp:
    """Gives every trial an accuracy immediately, until it is interrupted."""

    abilities: ClassVar[frozenset[str]] = frozenset()
    ends_at: int | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for number, task in enumerate(tasks):
            if number == self.ends_at:
                raise KeyboardInterrupt
            yield Started(task.key)
            about: dict[str, Any] = {"test_accuracy": 0.5, "val_accuracy": 0.5, "num_test": 10_000, "num_classes": 10}
            yield Finished(replace(failed(task, ""), status="complete", reason=None, **about))


def _run(
    out: Path, executor: MadeUp, monkeypatch: pytest.MonkeyPatch, *, final: bytes | None = None, vega: str | None = ""
) -> list[str]:
    """Run a study of four trials with a live report; return every page that it published."""
    pages: list[str] = []
    monkeypatch.setattr(explore, "_vega", lambda: vega if vega is None else Markup(vega))
    monkeypatch.setattr(live_module, "SHARE", 1.0)
    options = Options(dataset="synthetic", scale="smoke", out=out)
    plan = plan_study(studies.get_study("residuals"), options)
    display = ProgressDisplay(stream=io.StringIO())
    out.mkdir(exist_ok=True)
    with closing(Store(options.store_url)) as store, LiveReport(store, plan.run, out, display) as live:
        monkeypatch.setattr(live.server, "publish", lambda _, page: pages.append(page.decode()))
        display.logs.append(live)
        context = Context(
            plan=plan, store=store, backend=Backend(executor=executor, device="cpu", own_device="cpu"), display=display
        )
        train(context)
        if final is not None:
            (out / plan.run).mkdir()
            (out / plan.run / "report.html").write_bytes(final)
    return pages


def test_each_trial_has_a_page_and_the_report_has_the_place_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = _run(tmp_path, MadeUp(), monkeypatch, final=b"the report")
    assert len(pages) == 6
    assert pages[-1] == "the report"
    for number, page in enumerate(pages[:-1]):
        assert f'data-version="{number + 1}"' in page
        assert "<title>Provisional: residuals" in page
        assert f"{number} done, 0 running, {4 - number} waiting" in page
        assert "connect-src 'self'" in page
    assert not list(tmp_path.glob("*.live.html"))


def test_a_run_that_is_stopped_leaves_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = MadeUp()
    executor.ends_at = 1
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, executor, monkeypatch, vega=None)
    (path,) = tmp_path.glob("*.live.html")
    require_own_page(path)
    text = path.read_text(encoding="utf-8")
    assert re.search("Provisional.*1 done", text)
    assert 'data-figure="learning_curves"' not in text  # simulated trials have none


def test_somebody_elses_page_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "residuals-synthetic-smoke.live.html"
    other.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is not ours"):
        _run(tmp_path, MadeUp(), monkeypatch)
    assert other.read_text(encoding="utf-8") == "mine"


def test_several_settings_are_refused(tmp_path: Path) -> None:
    options = Options(dataset="synthetic", scale="smoke", out=tmp_path, live=True, across=("recipe.epochs=1,2",))
    with pytest.raises(ValueError, match="--live: is not allowed with a study in several settings"):
        plan_across(studies.get_study("residuals"), options)


@pytest.mark.long
def test_the_command_prints_an_address_and_leaves_a_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", "--live", "--out", str(tmp_path))
    assert re.search(r"Live report: http://127\.0\.0\.1:\d+/\n", call_here(capsys, *arguments).err)
    assert (tmp_path / "residuals-synthetic-smoke" / "report.html").is_file()
    assert not list(tmp_path.glob("*.live.html"))
