"""The environment of a measurement: device, driver, library versions, threads, clocks where they can be read."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from xception.base.canonical import Config

__all__ = ["Environment", "available_memory", "cpu_capability", "device_title", "read_environment"]


class Environment(Config):
    """The machine and the software at the time of a measurement; None where something cannot be read or does not
    apply.
    """

    device: str  # as torch names it: cpu, cuda:0
    device_name: str
    os: str
    python: str
    torch: str
    num_threads: int
    num_interop_threads: int
    num_cpus: int
    cpu: str
    cpu_mhz: float | None = None
    cpu_governor: str | None = None
    load_1min: float | None = None  # processes that ran or waited, mean of the last minute: of all users
    driver: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    gpu_memory_bytes: int | None = None
    gpu_clock_mhz: float | None = None
    gpu_memory_clock_mhz: float | None = None
    gpu_max_clock_mhz: float | None = None
    gpu_temperature_c: float | None = None


def read_environment(device: str) -> Environment:
    """Return the environment of a torch device, `cpu` or `cuda:i`, as it is now."""
    import torch

    where = torch.device(device)
    machine = Environment(
        device=str(where),
        device_name=device_title(device),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
        num_threads=torch.get_num_threads(),
        num_interop_threads=torch.get_num_interop_threads(),
        num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu=_cpu_name(),
        cpu_mhz=_cpu_mhz(),
        cpu_governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_1min=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )
    if where.type != "cuda":
        return machine
    clock, memory_clock, max_clock, temperature, driver = _nvidia_smi(torch.cuda.get_device_properties(where).uuid)
    return machine.replace(
        driver=driver,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        gpu_memory_bytes=torch.cuda.get_device_properties(where).total_memory,
        gpu_clock_mhz=_number(clock),
        gpu_memory_clock_mhz=_number(memory_clock),
        gpu_max_clock_mhz=_number(max_clock),
        gpu_temperature_c=_number(temperature),
    )


def cpu_capability() -> str:
    """Return the vector instructions that PyTorch uses here, such as AVX2 or AVX512."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def device_title(device: str) -> str:
    """Return the name of a device as a person knows it, like `NVIDIA H200` or the CPU's model."""
    import torch

    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else _cpu_name()


def available_memory(device: str) -> int | None:
    """Return the free bytes of a device, or None where that cannot be read."""
    import torch

    if torch.device(device).type == "cuda":
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    lines = (_text("/proc/meminfo") or "").splitlines()
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    limit, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
    if free is not None and limit is not None and used is not None and limit.isdigit():
        return min(free, int(limit) - int(used))
    return free


def _cpu_name() -> str:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_mhz() -> float | None:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("cpu MHz"):
            return _number(line.partition(":")[2])
    return None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _nvidia_smi(uuid: object) -> tuple[str | None, ...]:
    """Clock, memory clock, highest clock, temperature and driver; five times None where the tool fails."""
    query = "clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,driver_version"
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--id=GPU-{uuid}", f"--query-gpu={query}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return (None,) * 5
    values = [value.strip() for value in answer.stdout.strip().split(",")]
    return tuple(values) if len(values) == 5 else (None,) * 5


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None  # nvidia-smi writes [N/A]
