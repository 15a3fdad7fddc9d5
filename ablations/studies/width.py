"""How wide should the network be?

All widths of stem and flows are multiplied by one factor (Howard et al. 2017, arXiv:1704.04861, call it the width
multiplier).

    python run_ablation.py --study width

Five variants.
"""

from __future__ import annotations

from collections.abc import Callable

from ablations.design.study import Design, Study, one_at_a_time


def _times(factor: float) -> Callable[[Design], float]:
    """A factor on the network's own multiplier."""
    return lambda design: factor * float(design.at("model.width_multiplier"))


STUDY = Study(
    name="width",
    question="What does a wider or narrower network gain or lose?",
    reference="Howard et al. 2017, arXiv:1704.04861, section 3.3",
    variants=one_at_a_time(
        "model.width_multiplier", {f"×{factor:g}": _times(factor) for factor in (0.5, 0.75, 1, 1.5, 2)}
    ),
    baseline="×1",
    varies=("model.width_multiplier",),
)
