"""How deep and wide should the middle flow be, and does it need its shortcuts?

Chollet 2017 (arXiv:1610.02357), Figure 5: eight equal modules of three convolutions at the width of their input, which
the paper does not vary. Without modules the entry flow meets the exit flow.

    python -m search --space middle_flow --trials 50
"""

from __future__ import annotations

from collections.abc import Mapping

from search.design.space import Choice, Integer, Space, Value, When, changed, scaled
from xception.network.config import XceptionConfig

_HAS_MODULES = (When("middle.modules", tuple(range(1, 13))),)


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network with another middle flow; a ratio of 1 keeps the width of the input."""
    modules = values["middle.modules"]
    if modules == 0:
        return changed(base, {"middle": {"modules": 0}})
    incoming = base.entry.widths[-1] if base.entry is not None else base.stem.widths[-1]
    width = scaled(incoming, float(values["middle.width"]))
    middle = {
        "modules": modules,
        "convolutions": values["middle.convolutions"],
        "width": None if base.channels(width) == base.channels(incoming) else width,
        "residual": None if values["middle.residual"] else "none",
    }
    return changed(base, {"middle": middle})


SPACE = Space(
    name="middle_flow",
    question="How deep and wide should the middle flow be, and does it need its shortcuts?",
    dimensions=(
        Integer(name="middle.modules", low=0, high=12),
        Integer(name="middle.convolutions", low=1, high=4, when=_HAS_MODULES),
        Choice(name="middle.width", options=(0.5, 0.75, 1.0, 1.25, 1.5, 2.0), when=_HAS_MODULES),
        Choice(name="middle.residual", options=(True, False), when=_HAS_MODULES),
    ),
    build=build,
)
