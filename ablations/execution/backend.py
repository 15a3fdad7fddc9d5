"""Where trials run, from what was asked for: worker processes here, Ray, or all the processes that torchrun started."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

from ablations.design.options import BackendOptions
from ablations.design.scales import default_scale
from ablations.execution.executors import Executor, LocalExecutor, SerialExecutor
from xception.train.execution import QUICK

__all__ = ["Backend", "check_backend", "default_device", "is_distributed", "open_backend"]

MOST_THREADS, MOST_WORKERS = 256, 10_000
SEED_BATCH = 8  # seeds at a time on a GPU; what does not fit is halved


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Where trials run: the executor, the device that a trial sees, and the device of this process; `close` ends what
    waits elsewhere.
    """

    executor: Executor
    device: str
    own_device: str
    close: Callable[[], None] = lambda: None


def open_backend(options: BackendOptions, *, in_process: bool = False) -> Backend:
    """Return the backend that was asked for, connected where it is elsewhere; `in_process` trains one trial at a time
    in this process, unless more workers or what needs worker processes are asked for.

    Raises:
        ValueError: an option does not fit, or what it names is not there.
    """
    check_backend(options)
    if is_distributed():
        from ablations.execution.distributed_executor import DistributedExecutor

        executor = DistributedExecutor.join(options.device)
        return Backend(executor=executor, device=executor.device, own_device=executor.device, close=executor.close)
    if options.executor == "ray":
        return _on_ray(options)
    device = default_device(options.device)
    if in_process and _fits_this_process(options):
        return Backend(executor=SerialExecutor(), device=device, own_device=device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = 1 if in_process or device != "cpu" else max(1, cores // options.threads)
    local = LocalExecutor(
        num_workers=options.workers or most,
        timeout_seconds=options.trial_timeout,
        seed_batch=_seed_batch(options, on_cpu=device == "cpu"),
        execution=QUICK.replace(compile=options.compile),
    )
    return Backend(executor=local, device=device, own_device=device)


def _fits_this_process(options: BackendOptions) -> bool:
    """Whether one process that can neither be ended nor train several seeds at once is enough."""
    return (
        options.workers in (None, 1)
        and options.trial_timeout is None
        and options.seed_batch in (None, 1)
        and not options.compile
    )


def _seed_batch(options: BackendOptions, *, on_cpu: bool) -> int:
    """How many seeds are trained as one: on a GPU several, on a CPU one, where together they take longer than one after
    the other.
    """
    if options.seed_batch is not None:
        return options.seed_batch
    return 1 if on_cpu or options.compile or options.trial_timeout is not None else SEED_BATCH


def is_distributed() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def default_device(device: str) -> str:
    """Return `cpu` or `cuda:N` of this machine for what was asked.

    Raises:
        ValueError: the name is unknown or the device is not there.
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
    """Hold the options against each other and against this machine, without connecting to another.

    Raises:
        ValueError: an option does not fit, or the device is not there.
    """
    for name, value, most in (("threads", options.threads, MOST_THREADS), ("workers", options.workers, MOST_WORKERS)):
        if value is not None and not 1 <= value <= most:
            raise ValueError(f"--{name}: {value} is not allowed; 1 to {most:,}")
    if options.compile and (options.executor != "local" or is_distributed()):
        raise ValueError("--compile: it has no effect but with the local executor; leave it out")
    if options.seed_batch is not None:
        _check_seed_batch(options, options.seed_batch)
    if options.trial_timeout is not None and not 0 < options.trial_timeout < math.inf:
        raise ValueError(f"--trial-timeout: {options.trial_timeout} is not allowed; seconds above 0")
    if options.trial_timeout is not None and (is_distributed() or options.executor != "local"):
        raise ValueError(
            f"--trial-timeout: {options.trial_timeout:g} has no effect but with the local executor; leave it out"
        )
    if is_distributed() and (options.executor != "local" or options.workers not in (None, 1)):
        raise ValueError(
            "--executor, --workers: torchrun runs one trial at a time over all its processes; leave both out"
        )
    if options.executor == "ray":
        _check_ray(options)
        return
    for name in ("ray_address", "cpus_per_trial", "gpus_per_trial"):
        if getattr(options, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option}: {getattr(options, name)} has no effect with --executor {options.executor}; add"
                " --executor ray"
            )
    default_device(options.device)


def _check_seed_batch(options: BackendOptions, size: int) -> None:
    if not 1 <= size <= 10_000:
        raise ValueError(f"--seed-batch: {size} is not allowed; 1 to 10,000")
    if options.executor != "local" or is_distributed():
        raise ValueError(f"--seed-batch: {size} has no effect but with the local executor; leave it out")
    if size > 1 and options.compile:
        raise ValueError(f"--seed-batch: {size} is not allowed with --compile; leave one of both out")
    if size > 1 and options.trial_timeout is not None:
        raise ValueError(
            f"--seed-batch: {size} is not allowed with --trial-timeout, which limits one trial; leave one of both out"
        )


def _check_ray(options: BackendOptions) -> None:
    for name in ("cpus_per_trial", "gpus_per_trial"):
        share = getattr(options, name)
        if share is not None and not (0 < share <= 1 or (1 < share < 1e6 and share == int(share))):
            raise ValueError(
                f"--{name.replace('_', '-')}: {share} is not allowed; a fraction up to 1, or a whole number above"
            )
    if options.device not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"--device: {options.device!r} is not allowed with --executor ray, which chooses among devices; auto, cpu,"
            " cuda"
        )
    if options.device == "cpu" and options.gpus_per_trial:
        raise ValueError(f"--gpus-per-trial: {options.gpus_per_trial} has no effect with --device cpu; leave it out")


def _on_ray(options: BackendOptions) -> Backend:
    from ablations.execution.ray_executor import RayExecutor, connect_ray, num_cluster_gpus

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
    # On its node a trial sees only the devices that it was given, so that it is always the first.
    return Backend(
        executor=executor,
        device="cuda:0" if wants_gpu else "cpu",
        own_device=default_device("auto" if wants_gpu else "cpu"),
    )
