"""The name of a run, and of its folder: the study and what differs from CIFAR-10 at `quick`.

One run is one study, data set, scale and set of overrides. Flags that change no trial are not part of its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from ablations.design.options import Options
from ablations.design.scales import get_scale
from ablations.design.study import Study
from xception.data.source import Source

__all__ = ["free_name", "run_name"]

_LONGEST = 90
_PLAIN_DATASET, _PLAIN_SCALE = "cifar10", "quick"
_PATHS = ("folder", "parquet")


def run_name(study: Study, source: Source, options: Options) -> str:
    """Return the default name of a run: readable, and safe as the name of a folder."""
    words = options.overrides()
    parts = [study.name]
    across_data = any(text.startswith("dataset=") for text in options.across)
    if study.dataset is None and source.name != _PLAIN_DATASET and not across_data:
        parts.append(_dataset(source))
    scale = get_scale(options.scale_name).name
    if scale != get_scale(_PLAIN_SCALE).name:
        parts.append(scale)
    parts += list(_overrides(words))
    name = "-".join(_safe(part) for part in parts)
    if len(name) > _LONGEST:
        digest = hashlib.sha256(" ".join([study.name, source.fingerprint, *words]).encode()).hexdigest()[:8]
        name = f"{name[: _LONGEST - 9].rstrip('-_.')}-{digest}"
    return name


def free_name(name: str, plan: str, out: Path, *, is_given: bool) -> str:
    """Return the name of the folder of a plan's results: the run's, followed by the plan's number if another plan's
    results have that name.

    Raises:
        ValueError: the user gave the name, and another plan has it.
    """
    try:
        there = json.loads((out / name / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return name
    if not isinstance(there, dict) or there.get("plan") in (None, plan):
        return name
    if is_given:
        raise ValueError(f"--name: {name!r} is the name of another run of {there.get('study')}; another name")
    return f"{name}-{plan[:6]}"


def _dataset(source: Source) -> str:
    kind, _, rest = source.name.partition(":")
    if kind in _PATHS:
        return f"{PurePath(rest).name}-{source.fingerprint[:6]}"
    return source.name


def _overrides(words: list[str]) -> Iterable[str]:
    """Each argument that affects trials, without the data set and the scale."""
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("--")
        value = next(rest, "")
        if name in ("dataset", "scale"):
            continue
        if name == "across":
            yield f"across-{value.partition('=')[0].rpartition('.')[2]}"
            continue
        if name == "set":
            path, _, text = value.partition("=")
            yield f"{path.rpartition('.')[2]}={text}"
        elif name in ("preset", "weights"):
            yield PurePath(value).stem if value.endswith((".json", ".safetensors", ".pth", ".pt")) else value
        else:
            yield f"{name.replace('-', '_')}={value}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=@-]+", "_", text).strip("_.") or "x"
