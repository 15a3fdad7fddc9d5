"""The state of a training on disk. A kill, a full disk or a flipped bit never costs more than the steps since the last
checkpoint.

A checkpoint is one safetensors file with tensors and a JSON text of plain values, so reading it cannot execute code.
Its name holds the SHA-256 of its bytes. A file that does not match was torn or damaged, and the checkpoint before it is
used instead. Files appear under their name by rename, after fsync, and the last two are kept (the order of writing is
that of Pillai et al. 2014, *All File Systems Are Not Created Equal*).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from xception.base.canonical import Plain
from xception.base.errors import DataError
from xception.base.files import write_atomic

__all__ = ["Checkpoint", "CheckpointError", "CheckpointFolder", "TrainingStopped", "parsed"]

_NAME = re.compile(r"step-(\d{12})-([0-9a-f]{64})\.safetensors")
_NUM_KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint that must not be continued: it belongs to another training. The message shows the difference."""


class TrainingStopped(Exception):  # noqa: N818 - no error: raised from a callback to end a training, after its state is saved
    """The training was asked to stop; it can be continued from its folder, if it has one."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a file holds: tensors by name, and plain values."""

    path: Path
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


@dataclass(kw_only=True)
class CheckpointFolder:
    """The checkpoints of one training, in a folder of its own.

    `semantics` is the version of what the configs mean; a training continues only from a checkpoint of the same
    version. A training saves at the end of each epoch, and within an epoch every `interval_seconds`, but skips a
    checkpoint where saving would take more than `largest_share` of the time. `say` is called with a line for every
    checkpoint that is skipped.
    """

    path: Path
    semantics: int
    interval_seconds: float = 120.0
    largest_share: float = 0.02
    say: Callable[[str], None] = lambda line: None
    _save_seconds: float = field(default=0.0, init=False)
    _saved_at: float = field(default_factory=time.monotonic, init=False)
    _is_unwritable: bool = field(default=False, init=False)

    def is_due(self, *, at_epoch_end: bool, num_together: int = 1) -> bool:
        """Return whether it is time to save, for this training alone or for several that save together."""
        elapsed = time.monotonic() - self._saved_at
        return elapsed >= num_together * self._save_seconds / self.largest_share and (
            at_epoch_end or elapsed >= self.interval_seconds
        )

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Plain]) -> None:
        """Write a checkpoint and remove all but the last two. If it cannot be written, report that and continue without
        it.

        A training that cannot save can still finish, so it is not ended.
        """
        began = time.monotonic()
        content = safetensors.torch.save(_detached(tensors), metadata={"state": json.dumps(state, allow_nan=False)})
        name = f"step-{step:012d}-{hashlib.sha256(content).hexdigest()}.safetensors"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with write_atomic(self.path / name) as file:
                file.write(content)
            for _, old in self._found()[_NUM_KEPT:]:
                old.unlink(missing_ok=True)
        except (DataError, OSError) as error:
            if not self._is_unwritable:
                why = str(error).replace(f"/{name}", "")
                self.say(f"no checkpoint could be written; training continues without one: {why}")
            self._is_unwritable = True
        else:
            self._is_unwritable = False
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began

    def newest(self, refuse: Callable[[Checkpoint], str | None]) -> Checkpoint | None:
        """Return the newest intact checkpoint for which `refuse` returns no reason; None if there is none.

        Files that a killed process left half written are removed; only one process at a time works in a folder.
        """
        self._remove_torn()
        for step, path in self._found():
            try:
                content = path.read_bytes()
            except OSError as error:
                self.say(f"checkpoint of step {step} passed over: it cannot be read ({error.strerror})")
                continue
            checkpoint = parsed(path, content)
            reason = refuse(checkpoint) if isinstance(checkpoint, Checkpoint) else checkpoint
            if isinstance(checkpoint, Checkpoint) and reason is None:
                return checkpoint
            self.say(f"checkpoint of step {step} passed over: {reason}")
        return None

    def clear(self) -> None:
        """Remove all checkpoints: their training is finished."""
        with contextlib.suppress(OSError):
            for _, path in self._found():
                path.unlink(missing_ok=True)
        self._remove_torn()

    def _remove_torn(self) -> None:
        with contextlib.suppress(OSError):
            for path in self.path.glob(".step-*.tmp"):
                path.unlink(missing_ok=True)

    def _found(self) -> list[tuple[int, Path]]:
        """Steps and paths of the checkpoints, the newest first."""
        if not self.path.is_dir():
            return []
        matched = [(match, path) for path in self.path.iterdir() if (match := _NAME.fullmatch(path.name))]
        return sorted(((int(match[1]), path) for match, path in matched), reverse=True)


def difference(before: Plain, now: Plain, path: str = "") -> list[str]:
    """Return a line for each dotted path at which two plain values differ; a field that is left out has its default."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        return [
            line
            for name in names
            for line in difference(
                before.get(name, "the default"), now.get(name, "the default"), f"{path}.{name}".lstrip(".")
            )
        ]
    return [] if before == now else [f"{path} was {_shown(before)}, is {_shown(now)}"]


def _shown(value: Plain) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def parsed(path: Path, content: bytes) -> Checkpoint | str:
    """Return the checkpoint in a file's bytes, or the reason why there is none."""
    match = _NAME.fullmatch(path.name)
    if match is None or hashlib.sha256(content).hexdigest() != match[2]:
        return "its bytes do not have the SHA-256 that its name says, so it was torn or damaged"
    try:
        length = int.from_bytes(content[:8], "little")
        state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        return f"it is not a checkpoint ({type(error).__name__})"
    if not isinstance(state, dict):
        return "it is not a checkpoint (its state is not an object)"
    return Checkpoint(path=path, tensors=tensors, state=state)


def _detached(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, in the layout that safetensors stores."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
