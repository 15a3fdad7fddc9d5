"""Notices, before the first trial, about the run's precision on this machine's CPU.

Torch is not used, since its import would delay the first trial.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ablations.costs.training_cost import read_speed
from ablations.design.study_plan import StudyPlan
from ablations.execution.backend import default_device, is_distributed

__all__ = ["has_bfloat16_units", "machine_notices", "precision_notices"]

_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86's two and Arm's, as Linux calls them


def machine_notices(plan: StudyPlan) -> list[str]:
    """Return the notices about the precision of a plan's trials if they train on this machine's CPU.

    The notice that the CPU has bfloat16 is printed only before the first run in an output folder.
    """
    options = plan.options
    if options.executor != "local" or is_distributed() or default_device(options.device) != "cpu":
        return []
    return precision_notices(
        {design.recipe.precision for design in plan.designs.values()},
        has_bfloat16=has_bfloat16_units(),
        is_first=read_speed(options.out) is None,
    )


def precision_notices(precisions: Collection[str], *, has_bfloat16: bool | None, is_first: bool) -> list[str]:
    """Return the lines for some precisions on a CPU with bfloat16 units, without, or unknown (None)."""
    out: list[str] = []
    if "float16" in precisions:
        out.append(
            "recipe.precision: float16 is many times slower than float32 on a CPU; --set recipe.precision=float32"
            " trains at full speed"
        )
    if "bfloat16" in precisions and has_bfloat16 is False:
        out.append(
            "recipe.precision: this CPU has no units for bfloat16 and computes it more slowly than float32; --set"
            " recipe.precision=float32 trains at full speed"
        )
    if is_first and has_bfloat16 and set(precisions) == {"float32"}:
        out.append(
            "This CPU has units for bfloat16: --set recipe.precision=bfloat16 trains faster in them, as trials with"
            " keys of their own; --study precision asks what that costs"
        )
    return out


def has_bfloat16_units(cpu_info: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Return whether this CPU computes products of bfloat16 in units of its own; None if unknown."""
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return not _FLAGS.isdisjoint(value.split())
    return None
