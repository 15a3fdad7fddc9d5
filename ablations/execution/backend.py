"""The backend that the options select: worker processes here, Ray, or all processes of torchrun."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from ablations.design.options import BackendOptions
from ablations.design.scales import default_scale
from ablations.execution.executor import Executor, SerialExecutor
from ablations.execution.local_executor import LocalExecutor
from xception.train.execution import QUICK

__all__ = ["Backend", "check_backend", "default_device", "is_distributed", "open_backend"]

MOST_THREADS, MOST_WORKERS = 256, 10_000
SEED_BATCH = 8  # seeds at a time on a GPU; a batch that does not fit is halved


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The backend of a run: the executor, the device of a trial, the device of this process, and the number of
    trials at a time, if known. `close` ends processes that wait on other ranks.
    """

    executor: Executor
    device: str
    own_device: str
    num_workers: int = 1
    close: Callable[[], None] = lambda: None

    @contextmanager
    def keeping_workers(self, num_workers: int = 0) -> Iterator[None]:
        """Let worker processes of this machine, some of them started now, wait for the next tasks within the block."""
        if isinstance(self.executor, LocalExecutor):
            with self.executor.keeping_workers(num_workers):
                yield
        else:
            yield


def open_backend(options: BackendOptions, *, in_process: bool = False) -> Backend:
    """Return the requested backend, connected to its cluster if it has one; `in_process` trains one trial at a time in
    this process, unless an option needs worker processes.

    Raises:
        ValueError: an option does not fit, or names something that does not exist.
    """
    check_backend(options)
    if is_distributed():
        from ablations.execution.distributed_executor import DistributedExecutor

        executor = DistributedExecutor.join(options.device)
        return Backend(executor=executor, device=executor.device, own_device=executor.device, close=executor.close)
    if options.executor == "ray":
        return _on_ray(options)
    device = default_device(options.device)
    if in_process and not _ignored(options, SerialExecutor):
        return Backend(executor=SerialExecutor(), device=device, own_device=device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    num_workers = options.workers or (1 if in_process or device != "cpu" else max(1, cores // options.threads))
    local = LocalExecutor(
        num_workers=num_workers,
        timeout_seconds=options.trial_timeout,
        seed_batch=_seed_batch(options, on_cpu=device == "cpu"),
        execution=QUICK.replace(compile=options.compile),
    )
    return Backend(executor=local, device=device, own_device=device, num_workers=num_workers)


def _on_ray(options: BackendOptions) -> Backend:
    from ablations.execution.ray_connection import connect_ray, num_cluster_gpus
    from ablations.execution.ray_executor import RayExecutor

    connect_ray(options.ray_address)
    wants_gpu = (
        options.device == "cuda"
        or bool(options.gpus_per_trial)
        or (options.device == "auto" and num_cluster_gpus() > 0)
    )
    executor = RayExecutor(
        cpus_per_trial=options.threads if options.cpus_per_trial is None else options.cpus_per_trial,
        gpus_per_trial=0.0 if not wants_gpu else options.gpus_per_trial or 1.0,
        num_workers=options.workers,
    )
    # On its node only a trial's own devices are visible, so its device is always the first.
    return Backend(
        executor=executor,
        device="cuda:0" if wants_gpu else "cpu",
        own_device=default_device("auto" if wants_gpu else "cpu"),
        num_workers=options.workers or 1,
    )


def _seed_batch(options: BackendOptions, *, on_cpu: bool) -> int:
    """The number of seeds trained together: several on a GPU; one on a CPU, where that takes longer."""
    if options.seed_batch is not None:
        return options.seed_batch
    return 1 if on_cpu or options.compile or options.trial_timeout is not None else SEED_BATCH


def is_distributed() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def default_device(device: str) -> str:
    """Return the requested device of this machine as `cpu` or `cuda:N`.

    Raises:
        ValueError: the name is unknown or the device does not exist.
    """
    kind, _, index = device.partition(":")
    if device not in ("auto", "cpu") and (kind != "cuda" or (index and not index.isdecimal())):
        raise ValueError(f"--device: {device!r} is not known; allowed: auto, cpu, cuda, cuda:N")
    if device == "cpu" or (device == "auto" and default_scale() == "quick"):
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and count == 0:
        return "cpu"
    if int(index or 0) >= count:
        there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
        raise ValueError(f"--device: {device!r} is not there; allowed on this machine: {there}")
    return f"cuda:{index or 0}"


def check_backend(options: BackendOptions) -> None:
    """Check the options against each other, the executor and this machine, without connecting to another.

    Raises:
        ValueError: an option does not fit, or the device does not exist.
    """
    for name, value, most in (
        ("threads", options.threads, MOST_THREADS),
        ("workers", options.workers, MOST_WORKERS),
        ("seed-batch", options.seed_batch, MOST_WORKERS),
    ):
        if value is not None and not 1 <= value <= most:
            raise ValueError(f"--{name}: {value} is not allowed; 1 to {most:,}")
    if options.trial_timeout is not None and not 0 < options.trial_timeout < math.inf:
        raise ValueError(f"--trial-timeout: {options.trial_timeout} is not allowed; seconds above 0")
    for name in ("cpus_per_trial", "gpus_per_trial"):
        share = getattr(options, name)
        if share is not None and not (0 < share <= 1 or (1 < share < 1e6 and share == int(share))):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option}: {share} is not allowed; a fraction up to 1, or a whole number above")
    _check_abilities(options)
    for other in ("compile", "trial_timeout"):
        if (options.seed_batch or 1) > 1 and getattr(options, other):
            raise ValueError(
                f"--seed-batch: {options.seed_batch} is not allowed with --{other.replace('_', '-')}, which takes one"
                " trial at a time; leave one of both out"
            )
    if options.executor != "ray":
        default_device(options.device)
    elif options.device not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"--device: {options.device!r} is not allowed with --executor ray, which chooses among devices; auto, cpu,"
            " cuda"
        )
    elif options.device == "cpu" and options.gpus_per_trial:
        raise ValueError(f"--gpus-per-trial: {options.gpus_per_trial} has no effect with --device cpu; leave it out")


def _check_abilities(options: BackendOptions) -> None:
    """Check that the chosen executor honours every option."""
    from ablations.execution.distributed_executor import DistributedExecutor
    from ablations.execution.ray_executor import RayExecutor

    kinds: dict[str, type[Executor]] = {"local": LocalExecutor, "ray": RayExecutor}
    if is_distributed() and options.executor != "local":
        raise ValueError(
            f"--executor: {options.executor} has no effect under torchrun, which runs one trial over all its processes;"
            " leave it out"
        )
    ignored = _ignored(options, DistributedExecutor if is_distributed() else kinds[options.executor])
    if ignored:
        value, option = getattr(options, ignored[0]), f"--{ignored[0].replace('_', '-')}"
        others = [name for name, kind in kinds.items() if ignored[0] in kind.abilities and not is_distributed()]
        where = "under torchrun" if is_distributed() else f"with --executor {options.executor}"
        shown = "it" if value is True else str(value)
        instead = f"leave it out{''.join(f', or add --executor {name}' for name in others)}"
        raise ValueError(f"{option}: {shown} has no effect {where}; {instead}")


def _ignored(options: BackendOptions, kind: type[Executor]) -> list[str]:
    """The changed options that an executor does not honour; `--workers 1` is allowed everywhere."""
    names = [f.name for f in fields(BackendOptions) if getattr(options, f.name) != f.default]
    one = {name for name in ("workers", "seed_batch") if getattr(options, name) == 1}
    return [name for name in names if name not in kind.abilities | one | {"device", "threads", "executor"}]
