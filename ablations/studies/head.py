"""What should stand between the last map and the classifier?

The paper uses average pooling, and for JFT also tries two fully connected layers of 4096 before the classifier, twice
the 2048 channels of the last map (Figure 5; Table 2). A global depthwise convolution learns where to look (Chen et al.
2018, arXiv:1804.07573); flattening leaves that to the classifier.

    python run_ablation.py --study head

Five variants.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Design, Study, Variant


def _pooled(pool: str) -> dict[str, Any]:
    """One pooling and no hidden layer; a kernel over the whole map depends on the size of the images."""
    needs_size = pool in ("global_depthwise", "flatten")
    return {
        "model.head.pool": pool,
        "model.head.hidden": (),
        "model.input_size": _input_size if needs_size else None,
    }


def _input_size(design: Design) -> int:
    return design.dataset.image_size


def hidden_layers(design: Design) -> tuple[int, int]:
    """Return the widths of two hidden layers, each twice the channels of the last map, as in the paper."""
    width: Any = 2 * design.model.trunk_channels  # type: ignore[union-attr]
    return (width, width)


STUDY = Study(
    name="head",
    question="What should stand between the last map and the classifier?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5, Table 2",
    variants=(
        Variant(name="average", changes=_pooled("average")),
        Variant(name="maximum", changes=_pooled("max")),
        Variant(name="global depthwise", changes=_pooled("global_depthwise")),
        Variant(name="flatten", changes=_pooled("flatten")),
        Variant(name="fully connected", changes={**_pooled("average"), "model.head.hidden": hidden_layers}),
    ),
    baseline="average",
    varies=("model.head.pool", "model.head.hidden", "model.input_size"),
)
