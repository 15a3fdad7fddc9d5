"""Recipes by name. Each says where it comes from, what it is good for, and what was measured with it here.

Each scale uses one of them; `--recipe` selects another, with the scale's number of epochs unless `--epochs` is given. A
recipe never changes: a better one is a new version, and the name without a number means the latest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from xception.base.suggestions import did_you_mean
from xception.data.config import AugmentConfig
from xception.train.recipe import SGD, AdamW, Cosine, Exponential, Muon, OneCycle, Recipe, Stable

__all__ = ["LATEST", "RECIPES", "get_recipe", "meaning"]

LATEST = {"quick": "quick-2"}

_FLIP_AND_CROP = AugmentConfig(flip=True, crop_padding=4)


def smoke() -> Recipe:
    """Check in seconds that everything works: two epochs with small batches.

    Source: that of `quick-1`. Good for: no conclusions. Measured here: not measured.
    """
    return Recipe(
        epochs=2,
        batch_size=32,
        optimizer=SGD(learning_rate=0.1, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(),
        augment=_FLIP_AND_CROP,
    )


def quick_1() -> Recipe:
    """Train as `quick` did at first: Nesterov momentum, one cycle, averaged weights.

    Source: one-cycle training of small CIFAR-10 networks (Smith and Topin 2019; Page 2018), settings ours. Good for:
    continuing runs that were started with it. Measured here (results/residuals_quick_cpu): `cifar_tiny`, 10,000 images
    of CIFAR-10 (JPEG), 6 epochs: test accuracy 63.9 % ± 3.1 (3 seeds), 167 s per trial on one thread of an AMD EPYC.
    """
    return Recipe(
        epochs=6,
        batch_size=128,
        optimizer=SGD(learning_rate=0.2, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(),
        ema_decay=0.99,
        augment=_FLIP_AND_CROP,
    )


def quick_2() -> Recipe:
    """Train a small network on a CPU in minutes: orthogonalised momentum, small batches, more images fewer times.

    Source: Jordan et al. 2024 (Muon); settings ours, chosen by validation accuracy. Good for: ablations on a laptop.
    Measured here (results/benchmarks/recipes.txt): `cifar_tiny`, 30,000 images of CIFAR-10 (JPEG), 2 epochs: accuracy
    75.6 % on 10,000 validation images (2 seeds); `quick-1` has 64.2 % after as many images.
    """
    return Recipe(
        epochs=2,
        batch_size=64,
        optimizer=Muon(learning_rate=0.15, weight_decay=5e-4, other_learning_rate=0.2),
        schedule=OneCycle(),
        ema_decay=0.99,
        augment=AugmentConfig(flip=True),
    )


def stable() -> Recipe:
    """Train so that more epochs can be added: `quick-1` with a constant rate that falls over the last epoch.

    Source: warm-up, stable, decay (Zhai et al. 2022; Hu et al. 2024). Good for: trainings to be continued with
    `--resume-from`. Measured here: not measured.
    """
    return quick_1().replace(schedule=Stable(decay_epochs=1))


def adamw() -> Recipe:
    """Train with AdamW and half a cosine, in bfloat16.

    Source: Loshchilov and Hutter 2019, settings ours. Good for: networks for which the learning rate of SGD is
    unsuitable. Measured here: not measured.
    """
    return Recipe(
        epochs=30,
        batch_size=256,
        optimizer=AdamW(learning_rate=0.002, weight_decay=0.05),
        schedule=Cosine(warmup_epochs=1),
        label_smoothing=0.1,
        ema_decay=0.999,
        augment=_FLIP_AND_CROP,
        precision="bfloat16",
    )


def standard() -> Recipe:
    """Train a network of 3 M parameters on the whole data set with one GPU, in bfloat16.

    Source: one-cycle training as in `quick-1`, label smoothing (Szegedy et al. 2016) and cutout (DeVries and Taylor
    2017). Good for: verdicts to publish. Measured here: not measured.
    """
    return Recipe(
        epochs=30,
        batch_size=256,
        optimizer=SGD(learning_rate=0.4, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(),
        label_smoothing=0.1,
        ema_decay=0.999,
        augment=AugmentConfig(flip=True, crop_padding=4, cutout=8),
        precision="bfloat16",
    )


def paper() -> Recipe:
    """Train as the paper did on ImageNet: momentum, a rate that decays by 0.94 every 2 epochs, Polyak averaging.

    Source: Chollet 2017, section 4.3 (rate 0.045, weight decay 1e-5). The paper states neither the batch size nor the
    number of epochs: 256 and 100 are ours. Good for: repeating the paper. Measured here: not measured.
    """
    return Recipe(
        epochs=100,
        batch_size=256,
        optimizer=SGD(learning_rate=0.045, weight_decay=1e-5),
        schedule=Exponential(),
        ema_decay=0.9999,
        augment=AugmentConfig(flip=True),
        precision="bfloat16",
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__.replace("_", "-"): recipe for recipe in (smoke, quick_2, quick_1, stable, adamw, standard, paper)
}


def get_recipe(name: str) -> Recipe:
    """Return a recipe by name; without a number, its latest version.

    Raises:
        ValueError: no recipe has that name.
    """
    known = [*LATEST, *RECIPES]
    if name not in known:
        raise ValueError(f"--recipe: {name!r} is not known; allowed: {', '.join(known)}{did_you_mean(name, known)}")
    return RECIPES[LATEST.get(name, name)]()


def meaning(name: str) -> str:
    """Return the description of a recipe, in one line."""
    return " ".join((inspect.getdoc(RECIPES[LATEST.get(name, name)]) or "").split())
