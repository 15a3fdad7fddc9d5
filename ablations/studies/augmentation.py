"""Which augmentation helps at this budget?

The paper does not name its augmentation. Flip and crop are the usual pair for small images; variants add one of cutout
(DeVries and Taylor 2017, arXiv:1708.04552: half the side, as on CIFAR-10), RandAugment (Cubuk et al. 2020,
arXiv:1909.13719), mixup (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899). Strong
augmentation needs long training, so it may hurt at few epochs.

    python run_ablation.py --study augmentation

Six variants. The study changes only the recipe, so it runs on any network; a network of torchvision or timm is
unchanged: `--preset torchvision:resnet18`, `--preset timm:resnet18`.
"""

from __future__ import annotations

from collections.abc import Callable

from ablations.design.study import Design, Study, Variant
from xception.data.config import AugmentConfig


def _with(**more: float) -> Callable[[Design], AugmentConfig]:
    return lambda design: AugmentConfig(flip=True, crop_padding=design.dataset.image_size // 8, **more)  # type: ignore[arg-type]


def _cutout(design: Design) -> AugmentConfig:
    return _with(cutout=design.dataset.image_size // 2)(design)


STUDY = Study(
    name="augmentation",
    question="Which augmentation of training images helps at this budget?",
    reference="DeVries and Taylor 2017; Cubuk et al. 2020; Zhang et al. 2018; Yun et al. 2019",
    variants=(
        Variant(name="flip and crop", changes={"recipe.augment": _with()}),
        Variant(name="none", changes={"recipe.augment": AugmentConfig()}),
        Variant(name="+ cutout", changes={"recipe.augment": _cutout}),
        Variant(name="+ RandAugment", changes={"recipe.augment": _with(randaugment_operations=2)}),
        Variant(name="+ mixup", changes={"recipe.augment": _with(mixup_alpha=0.2)}),
        Variant(name="+ CutMix", changes={"recipe.augment": _with(cutmix_alpha=1.0)}),
    ),
    baseline="flip and crop",
    varies=("recipe.augment",),
)
