"""How should channels be distributed over stem, entry flow and exit flow?

Chollet 2017 (arXiv:1610.02357), Figure 5: 32, 64 | 128, 256, 728 | 1024 | 1536, 2048. Every width is a multiple of the
network's own, half to double, so all dimensions are numbers and none is conditional.

    python -m search --space widths --trials 50 --sampler cmaes
"""

from __future__ import annotations

from collections.abc import Mapping

from search.design.space import Real, Space, Value, changed, scaled
from xception.network.config import XceptionConfig


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network with other widths; the entry flow's are drawn between the ratio of its first and of its last
    module.
    """
    changes: dict[str, object] = {"stem.widths": tuple(scaled(w, float(values["stem"])) for w in base.stem.widths)}
    if base.entry is not None:
        first, last, count = float(values["entry.first"]), float(values["entry.last"]), len(base.entry.widths)
        ratios = [first * (last / first) ** (i / max(count - 1, 1)) for i in range(count)]
        changes["entry.widths"] = tuple(scaled(w, r) for w, r in zip(base.entry.widths, ratios, strict=True))
    if base.exit is not None:
        changes["exit.width"] = scaled(base.exit.width, float(values["exit.module"]))
        changes["exit.tail_widths"] = tuple(scaled(w, float(values["exit.tail"])) for w in base.exit.tail_widths)
    return changed(base, changes)


SPACE = Space(
    name="widths",
    question="How should channels be distributed over stem, entry flow and exit flow?",
    dimensions=tuple(
        Real(name=name, low=0.5, high=2.0, log=True)
        for name in ("stem", "entry.first", "entry.last", "exit.module", "exit.tail")
    ),
    build=build,
)
