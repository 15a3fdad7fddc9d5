"""The trials of a run for Weights & Biases: one run each, named by its key, grouped by study and variant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.execution.trackers import CURVES, METRICS, TrackedTrial
from ablations.records.record import Record

if TYPE_CHECKING:
    import wandb

__all__ = ["WeightsAndBiases"]

_SECONDS = 30  # to reach the server


class WeightsAndBiases:
    """Writes trials into a project; `WANDB_MODE=offline` keeps them below `<folder>/wandb` until `wandb sync`.

    Raises:
        ValueError: the package wandb is not installed.
    """

    name = "Weights & Biases"

    def __init__(self, project: str, folder: Path) -> None:
        if find_spec("wandb") is None:  # refused before anything is trained
            raise ValueError("--wandb: needs the package wandb; install the extra `wandb`")
        if not project or any(letter in project for letter in "/\\#?%:"):
            raise ValueError(f"--wandb: {project!r} is not allowed; a project's name, without any of / \\ # ? % :")
        self.project, self.folder = project, folder
        self._runs: dict[str, wandb.Run] = {}

    def epoch(self, trial: TrackedTrial, row: Mapping[str, Any]) -> None:
        """Write one epoch's losses and accuracies."""
        self._run(trial).log({name: row[name] for name in CURVES if row.get(name) is not None}, step=row["epoch"])

    def finish(self, trial: TrackedTrial, record: Record) -> None:
        """Write the final metrics, and end the trial's run."""
        run = self._run(trial)
        run.summary.update({name: getattr(record, name) for name in METRICS if getattr(record, name) is not None})
        run.summary.update({"status": record.status} | ({"reason": record.reason} if record.reason else {}))
        del self._runs[trial.key]
        run.finish(exit_code=int(record.status == "failed"))

    def close(self) -> None:
        """End the runs of trials that have not ended."""
        while self._runs:
            self._runs.popitem()[1].finish(exit_code=1)

    def _run(self, trial: TrackedTrial) -> wandb.Run:
        import wandb

        if trial.key not in self._runs:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._runs[trial.key] = wandb.init(
                project=self.project,
                dir=str(self.folder),
                name=trial.key[:12],
                group=trial.study,
                job_type=trial.variant[:64],
                config={
                    "key": trial.key,
                    "study": trial.study,
                    "variant": trial.variant,
                    "seed": trial.seed,
                    **trial.parameters,
                },
                reinit="create_new",  # trials run at the same time
                settings=wandb.Settings(
                    silent=True, console="off", init_timeout=_SECONDS, disable_git=True, disable_code=True
                ),
            )
        return self._runs[trial.key]
