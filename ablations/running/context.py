"""The context of a run, in one object: the plan, the store, the backend and the display."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ablations.design.options import Options, PresentationOptions, selected
from ablations.design.resumed import epoch_to_continue_from
from ablations.design.run_name import free_name
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial
from ablations.execution.backend import Backend, check_backend, open_backend
from ablations.execution.events import Event
from ablations.execution.progress import Label, ProgressDisplay
from ablations.execution.task import Task
from ablations.execution.tensorboard import TensorBoard
from ablations.execution.trackers import Tracker, Trackers
from ablations.execution.weights_and_biases import WeightsAndBiases
from ablations.records.store import Store
from ablations.reporting.own_files import require_own_folder
from ablations.reporting.presentation import presentation_of
from ablations.running.ahead import Ahead
from xception.base.files import cache_dir, require_locks

__all__ = ["Context", "Display", "check_options", "open_context", "require_writable", "trackers_of"]


class Display(Protocol):
    """The display interface of a run; it is shown within a `with`."""

    def __enter__(self) -> Self:
        """Start showing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def say(self, line: str) -> None:
        """Print one line."""

    def foresee(self, num_trials: int, *, at_most: bool) -> None:
        """Set the number of trials that the whole run trains, or trains at most."""

    def expect(self, labels: dict[str, Label]) -> None:
        """Add trials that are about to run, by key."""

    def know(self, results: Iterable[tuple[str, float]]) -> None:
        """Add test accuracies that are stored already, as (variant, accuracy)."""

    def show(self, event: Event) -> None:
        """Show one event in the display."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """A plan with its open store, the backend that trains its trials, the display of its progress, and the work done
    ahead of the results.
    """

    plan: StudyPlan
    store: Store
    backend: Backend
    display: Display
    ahead: Ahead = field(default_factory=Ahead)

    @property
    def options(self) -> Options:
        """The options of the user."""
        return self.plan.options

    def task(self, trial: Trial, *, weights: Path | None = None, keep_weights: Path | None = None) -> Task:
        """Return the task that trains a trial of the plan on the backend; `weights` is the file that it starts from."""
        return Task(
            trial=trial,
            source=replace(self.plan.source_of(trial), summary=None),  # it is sent to every worker
            device=self.backend.device,
            threads=self.options.threads,
            weights=weights,
            keep_weights=keep_weights,
            trials=self.options.out / "trials",
            keep_state_at=None if keep_weights is None else epoch_to_continue_from(trial),
        )

    def with_plan(self, plan: StudyPlan, display: Display | None = None) -> Context:
        """Return the context of another plan on the same store and backend."""
        return replace(self, plan=plan, display=display or self.display)


def check_options(options: Options) -> None:
    """Run the checks that need no plan, and make the output folder.

    Raises:
        ValueError: an option does not fit this machine or another option, or the folder cannot be written.
    """
    check_backend(options)
    presentation_of(selected(PresentationOptions, options))
    require_writable(options.out)
    for folder in (options.out, cache_dir()):
        require_locks(folder)


@contextmanager
def open_context(plan: StudyPlan, *, backend: Backend | None = None, in_process: bool = False) -> Iterator[Context]:
    """Open the store and the backend of a plan (or use the given one), and close them at the end; `in_process`
    trains in this process where the options allow it.

    Raises:
        ValueError: the store is damaged or cannot be opened, or the backend is not available.
    """
    options = plan.options
    run = free_name(plan.run, plan.identity, options.out, is_given=options.name is not None)
    plan = replace(plan, run=run)
    require_own_folder(options.out / run)
    with ExitStack() as held:
        trackers = trackers_of(options, run)
        store = Store(options.store_url)
        held.callback(store.close)
        store.check_pages()
        opened = backend or open_backend(options, in_process=in_process)
        display = ProgressDisplay()
        if trackers:
            display.logs.append(held.enter_context(Trackers(trackers, plan.study.name, display.say)))
        if options.live:
            from ablations.running.live import LiveReport

            display.logs.append(held.enter_context(LiveReport(store, run, options.out, display)))
        context = Context(plan=plan, store=store, backend=opened, display=display)
        held.callback(context.ahead.stop)
        yield context
        opened.close()


def trackers_of(options: Options, run: str) -> list[Tracker]:
    """The requested trackers.

    Raises:
        ValueError: the package of one is not installed.
    """
    out: list[Tracker] = []
    if options.tensorboard:
        out.append(TensorBoard(options.out / "tensorboard" / run))
    if options.wandb is not None:
        out.append(WeightsAndBiases(options.wandb, options.out))
    return out


def require_writable(folder: Path) -> None:
    """Make the output folder where it is missing.

    Raises:
        ValueError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        raise ValueError(f"--out: {folder} cannot be written ({error.strerror}); allowed: a folder that can") from None
