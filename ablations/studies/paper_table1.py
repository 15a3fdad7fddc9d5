"""The paper's Table 1: VGG-16, ResNet-152, Inception V3 and Xception on ImageNet.

Published top-1 / top-5 accuracy, single crop: .715 / .901, .770 / .933, .782 / .941, .790 / .945. Here the four are
trained alike on the data and at the scale of the run, so the values are proxies; `paper.md` in the same folder puts
them next to the published ones. Inception V3 needs at least 75 pixels and gets images enlarged to that; VGG-16 has no
norms, and trains at a twentieth of the learning rate. With the paper's own recipe Inception V3 has its own weight
decay, four times Xception's (section 4.3).

    python run_ablation.py --study paper_table1

Four variants. The three others have 24 to 139 million parameters whatever the scale: on a CPU this takes hours even at
`quick`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ablations.design.study import Design, Study, Variant
from xception.network.config import TorchvisionConfig
from xception.train.recipe import Exponential

SMALLEST_FOR_INCEPTION = 75  # pixels


def _torchvision(name: Literal["vgg16", "resnet152", "inception_v3"]) -> Callable[[Design], TorchvisionConfig]:
    return lambda design: TorchvisionConfig(name=name).for_data(
        num_classes=design.model.num_classes, in_channels=design.model.in_channels, input_size=design.dataset.image_size
    )


def _image_size(design: Design) -> int:
    return max(design.dataset.image_size, SMALLEST_FOR_INCEPTION)


def _learning_rate(design: Design) -> float:
    return design.recipe.optimizer.learning_rate / 20


def _weight_decay(design: Design) -> float:
    is_paper = isinstance(design.recipe.schedule, Exponential)
    return design.recipe.optimizer.weight_decay * (4 if is_paper else 1)


STUDY = Study(
    name="paper_table1",
    question="How does Xception compare with VGG-16, ResNet-152 and Inception V3, trained alike?",
    reference="Chollet 2017, arXiv:1610.02357, Table 1",
    variants=(
        Variant(name="Xception", changes={"model.operator.kind": "separable"}),
        Variant(
            name="Inception V3",
            changes={
                "dataset.image_size": _image_size,
                "model": _torchvision("inception_v3"),
                "recipe.optimizer.weight_decay": _weight_decay,
            },
        ),
        Variant(name="ResNet-152", changes={"model": _torchvision("resnet152")}),
        Variant(
            name="VGG-16", changes={"model": _torchvision("vgg16"), "recipe.optimizer.learning_rate": _learning_rate}
        ),
    ),
    baseline="Xception",
    varies=("model", "dataset.image_size", "recipe.optimizer.learning_rate", "recipe.optimizer.weight_decay"),
)
