"""What should stand between the last map and the classifier?

The paper pools the average, and for JFT also tries two fully connected layers of 4096 before the classifier, twice the
2048 channels of the last map (Figure 5; Table 2). A global depthwise convolution learns where to look (Chen et al.
2018, arXiv:1804.07573); flattening leaves that to the classifier.

    python run_ablation.py --study head

Five variants.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Design, Study, Variant


def _input_size(design: Design) -> int:
    return design.dataset.image_size


def hidden_layers(design: Design) -> tuple[int, int]:
    """Return the widths of two hidden layers, each twice the channels of the last map, as in the paper."""
    width: Any = 2 * design.model.trunk_channels  # type: ignore[union-attr]
    return (width, width)


STUDY = Study(
    name="head",
    question="What should stand between the last map and the classifier?",
    source="Chollet 2017, arXiv:1610.02357, Figure 5, Table 2",
    variants=(
        Variant(name="average"),
        Variant(name="maximum", changes={"model.head.pool": "max"}),
        Variant(
            name="global depthwise", changes={"model.head.pool": "global_depthwise", "model.input_size": _input_size}
        ),
        Variant(name="flatten", changes={"model.head.pool": "flatten", "model.input_size": _input_size}),
        Variant(name="fully connected", changes={"model.head.hidden": hidden_layers}),
    ),
    baseline="average",
    varies=("model.head.pool", "model.head.hidden", "model.input_size"),
)
