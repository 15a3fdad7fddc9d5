"""A space small enough to be trained whole: what do depth, shortcuts, order, the activation in between and width do
together?

72 networks: the axes of Chollet 2017 (arXiv:1610.02357), each with its two or three most informative values: the depth
of the middle flow, shortcuts (Figure 9), the activation between depthwise and pointwise (Figure 10), and their order,
of which section 2 argues that it is unimportant; and the width. Trained whole with several seeds it is the
table on which search methods are compared (`search.benchmark.tabular`), as NAS-Bench-201 (Dong and Yang 2020,
arXiv:2001.00326) is for cells.

    python -m search exhaust --space table --seeds 2
    python -m search replay --table results/local/table.parquet
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
        "operator": {
            "kind": values["operator.kind"],
            "intermediate_activation": values["operator.intermediate_activation"],
        },
        "exit.tail_intermediate_activation": None,
    }
    return changed(base, changes)


SPACE = Space(
    name="table",
    question="What do depth, shortcuts, the order and the activation within an operator, and width do together?",
    dimensions=(
        Choice(name="middle.modules", options=(0, 2, 4)),
        Choice(name="residual", options=(True, False)),
        Choice(name="operator.kind", options=("separable", "pointwise_depthwise")),
        Choice(name="operator.intermediate_activation", options=("none", "relu", "elu")),
        Choice(name="width", options=(0.5, 1.0)),
    ),
    build=build,
)
