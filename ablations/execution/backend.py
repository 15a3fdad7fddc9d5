"""Where trials run, from what was asked for: worker processes here, Ray, or all the processes that torchrun started."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ablations.design.scales import default_scale
from ablations.execution.executors import Executor, LocalExecutor
from xception.train.execution import QUICK

__all__ = ["Machines", "Place", "check_machines", "default_device", "is_distributed", "is_follower", "open_place"]

ExecutorName = Literal["local", "ray"]

SEED_BATCH = 8  # seeds at a time on a GPU; what does not fit is halved


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a user can ask for; None leaves the choice to the program."""

    device: str = "auto"
    workers: int | None = None
    threads: int = 1
    executor: ExecutorName = "local"
    ray_address: str | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    trial_timeout: float | None = None  # seconds
    seed_batch: int | None = None  # seeds of a variant that are trained as one
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where trials run: the executor, the device of a trial there, and the device of this process; `close` ends what
    waits there.
    """

    executor: Executor
    device: str
    own_device: str
    close: Callable[[], None] = lambda: None


def open_place(machines: Machines) -> Place:
    """Return the place that was asked for, connected where it is elsewhere.

    Raises:
        ValueError: an option does not fit, or what it names is not there.
    """
    check_machines(machines)
    if is_distributed():
        from ablations.execution.distributed_executor import DistributedExecutor

        executor = DistributedExecutor.join(machines.device)
        return Place(executor=executor, device=executor.device, own_device=executor.device, close=executor.close)
    if machines.executor == "ray":
        return _on_ray(machines)
    device = default_device(machines.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    num_workers = machines.workers or (1 if device != "cpu" else max(1, cores // machines.threads))
    local = LocalExecutor(
        num_workers=num_workers,
        timeout_seconds=machines.trial_timeout,
        seed_batch=_seed_batch(machines, on_cpu=device == "cpu"),
        execution=QUICK.replace(compile=machines.compile),
    )
    return Place(executor=local, device=device, own_device=device)


def _seed_batch(machines: Machines, *, on_cpu: bool) -> int:
    """How many seeds are trained as one: on a GPU several, on a CPU one, where together they take longer than one after
    the other.
    """
    if machines.seed_batch is not None:
        return machines.seed_batch
    return 1 if on_cpu or machines.compile or machines.trial_timeout is not None else SEED_BATCH


def is_distributed() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_follower() -> bool:
    """Whether another of torchrun's processes drives the study."""
    return is_distributed() and os.environ.get("RANK", "0") != "0"


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


def check_machines(machines: Machines) -> None:
    """Hold the options against each other and against this machine, without connecting to another.

    Raises:
        ValueError: an option does not fit, or the device is not there.
    """
    if machines.threads < 1:
        raise ValueError(f"--threads: {machines.threads} is not allowed; 1 or more")
    if machines.workers is not None and machines.workers < 1:
        raise ValueError(f"--workers: {machines.workers} is not allowed; 1 or more")
    if machines.compile and (machines.executor != "local" or is_distributed()):
        raise ValueError("--compile: it has no effect but with the local executor; leave it out")
    if machines.seed_batch is not None:
        _check_seed_batch(machines, machines.seed_batch)
    if machines.trial_timeout is not None and not 0 < machines.trial_timeout < math.inf:
        raise ValueError(f"--trial-timeout: {machines.trial_timeout} is not allowed; seconds above 0")
    if machines.trial_timeout is not None and (is_distributed() or machines.executor != "local"):
        raise ValueError(
            f"--trial-timeout: {machines.trial_timeout:g} has no effect but with the local executor; leave it out"
        )
    if is_distributed() and (machines.executor != "local" or machines.workers not in (None, 1)):
        raise ValueError(
            "--executor, --workers: torchrun runs one trial at a time over all its processes; leave both out"
        )
    if machines.executor == "ray":
        _check_ray(machines)
        return
    for name in ("ray_address", "cpus_per_trial", "gpus_per_trial"):
        if getattr(machines, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option}: {getattr(machines, name)} has no effect with --executor {machines.executor}; add"
                " --executor ray"
            )
    default_device(machines.device)


def _check_seed_batch(machines: Machines, size: int) -> None:
    if size < 1:
        raise ValueError(f"--seed-batch: {size} is not allowed; 1 or more")
    if machines.executor != "local" or is_distributed():
        raise ValueError(f"--seed-batch: {size} has no effect but with the local executor; leave it out")
    if size > 1 and machines.compile:
        raise ValueError(f"--seed-batch: {size} is not allowed with --compile; leave one of both out")
    if size > 1 and machines.trial_timeout is not None:
        raise ValueError(
            f"--seed-batch: {size} is not allowed with --trial-timeout, which limits one trial; leave one of both out"
        )


def _check_ray(machines: Machines) -> None:
    for name in ("cpus_per_trial", "gpus_per_trial"):
        share = getattr(machines, name)
        if share is not None and not (0 < share <= 1 or (1 < share < 1e6 and share == int(share))):
            raise ValueError(
                f"--{name.replace('_', '-')}: {share} is not allowed; a fraction up to 1, or a whole number above"
            )
    if machines.device not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"--device: {machines.device!r} is not allowed with --executor ray, which chooses among devices; auto, cpu,"
            " cuda"
        )
    if machines.device == "cpu" and machines.gpus_per_trial:
        raise ValueError(f"--gpus-per-trial: {machines.gpus_per_trial} has no effect with --device cpu; leave it out")


def _on_ray(machines: Machines) -> Place:
    from ablations.execution.ray_executor import RayExecutor, connect_ray, num_cluster_gpus

    connect_ray(machines.ray_address)
    wants_gpu = (
        machines.device == "cuda"
        or bool(machines.gpus_per_trial)
        or (machines.device == "auto" and num_cluster_gpus() > 0)
    )
    executor = RayExecutor(
        cpus_per_trial=machines.threads if machines.cpus_per_trial is None else machines.cpus_per_trial,
        gpus_per_trial=0.0 if not wants_gpu else machines.gpus_per_trial or 1.0,
        num_workers=machines.workers,
    )
    # On its node a trial sees only the devices that it was given, so that it is always the first.
    return Place(
        executor=executor,
        device="cuda:0" if wants_gpu else "cpu",
        own_device=default_device("auto" if wants_gpu else "cpu"),
    )
