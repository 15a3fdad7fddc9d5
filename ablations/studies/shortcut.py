"""What should a shortcut see, and what should stand in it?

Xception's shortcuts take a module's input through a strided 1×1 convolution with norm. He et al. 2016
(arXiv:1603.05027, Figure 4) compare taps before and after the activation, ResNet-D pools before it convolves (He et al.
2019, arXiv:1812.01187), and timm's pre-activated Xceptions have no norm in shortcuts.

    python run_ablation.py --study shortcut

Five variants at the cost of the baseline.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Study, Variant

_AS_PUBLISHED: dict[str, Any] = {
    "model.residual.tap": "input",
    "model.residual.norm": None,
    "model.residual.pooling": "none",
}

STUDY = Study(
    name="shortcut",
    question="Does it matter what shortcuts see and what stands in them?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5; He et al. 2016, arXiv:1603.05027, Figure 4",
    variants=(
        Variant(name="as published", changes=_AS_PUBLISHED),
        Variant(name="activated tap", changes={**_AS_PUBLISHED, "model.residual.tap": "activated"}),
        Variant(name="without norm", changes={**_AS_PUBLISHED, "model.residual.norm": False}),
        Variant(
            name="activated tap, without norm",
            changes={**_AS_PUBLISHED, "model.residual.tap": "activated", "model.residual.norm": False},
        ),
        Variant(name="average pooled", changes={**_AS_PUBLISHED, "model.residual.pooling": "average"}),
    ),
    baseline="as published",
    varies=tuple(_AS_PUBLISHED),
)
