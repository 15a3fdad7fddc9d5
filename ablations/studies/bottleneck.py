"""Do inverted bottlenecks and LayerScale improve a module?

MobileNetV2 widens before its depthwise convolution and is linear at the end (Sandler et al. 2018, arXiv:1801.04381);
LayerScale starts each branch near zero (Touvron et al. 2021, arXiv:2103.17239). Modern networks of depthwise
convolutions have both. Expansion multiplies the size, so each expanded variant is compared at its own size and at equal
parameters.

    python run_ablation.py --study bottleneck

Seven variants; the expanded ones at their own size cost three to six times the baseline's training.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Match, Study, Variant
from xception.base.changes import Soft

SIZES: tuple[Match, ...] = ("none", "params")


def _expanded(expansion: int) -> dict[str, Any]:
    return {
        "model.operator.kind": "inverted_bottleneck",
        "model.operator.expansion": expansion,
        "model.exit.tail_intermediate_activation": Soft(None),
    }


STUDY = Study(
    name="bottleneck",
    question="Do inverted bottlenecks and LayerScale improve the separable module?",
    reference="Sandler et al. 2018, arXiv:1801.04381; Touvron et al. 2021, arXiv:2103.17239",
    variants=(
        Variant(name="separable", changes={"model.operator.kind": "separable", "model.residual.layer_scale": 0.0}),
        Variant(name="LayerScale", changes={"model.operator.kind": "separable", "model.residual.layer_scale": 0.1}),
        *(
            Variant(name=f"expansion {expansion}", changes=_expanded(expansion), match=match)
            for match in SIZES
            for expansion in (2, 4)
        ),
        Variant(
            name="expansion 4, LayerScale",
            changes={**_expanded(4), "model.residual.layer_scale": 0.1},
            match="params",
        ),
    ),
    baseline="separable",
    varies=(
        *("model.operator.kind", "model.operator.expansion", "model.residual.layer_scale"),
        "model.exit.tail_intermediate_activation",
    ),
)
