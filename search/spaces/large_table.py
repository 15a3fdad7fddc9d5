"""A space to be trained whole on which search methods can be distinguished: depth, shortcuts, operator, activation,
norm placement and width.

288 networks: the axes of Chollet 2017 (arXiv:1610.02357) and two more that matter most. Trained with two
seeds each, more seeds for some, and held-out seeds that no replayed search sees, it is the table of
`benchmarks.search_evidence`.

    python -m search exhaust --space large_table --seeds 2 --rungs --extra-seeds 2 --held-out 24 --longer 12
    --train-size 7500 --epochs 3 --set dataset.val_size=10000 --scale quick-1 --dry-run
"""

from __future__ import annotations

from collections.abc import Mapping

from search.design.space import Choice, Space, Value, changed, scaled_widths
from xception.network.config import XceptionConfig


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network for the values; all widths are scaled equally."""
    changes = {
        **scaled_widths(base, float(values["width"])),
        "middle": {"modules": values["middle.modules"]},
        "residual.kind": "projection" if values["residual"] else "none",
        "operator": {"kind": values["operator.kind"]},
        "activation": values["activation"],
        "norm.placement": values["norm.placement"],
        "exit.tail_intermediate_activation": None,
    }
    return changed(base, changes)


SPACE = Space(
    name="large_table",
    question="What do depth, shortcuts, operator, activation, norm placement and width do together?",
    dimensions=(
        Choice(name="middle.modules", options=(0, 2, 4)),
        Choice(name="residual", options=(True, False)),
        Choice(name="operator.kind", options=("separable", "pointwise_depthwise")),
        Choice(name="activation", options=("relu", "elu", "silu")),
        Choice(name="norm.placement", options=("after_convolution", "before_activation")),
        Choice(name="width", options=(0.5, 0.75, 1.0, 1.25)),
    ),
    build=build,
)
