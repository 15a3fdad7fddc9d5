"""Scales: size of the network, amount of data, epochs and seeds of a study.

A scale never changes, since a stored plan names it. An improved one is a new version, `quick-2` after `quick-1`, and
the bare name means the latest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xception.base.canonical import Config
from xception.data.source import Source
from xception.train import recipes
from xception.train.recipe import Recipe

__all__ = ["SCALES", "Scale", "default_scale", "get_scale"]

ScaleName = Literal["smoke", "quick", "standard", "paper", "quick-1", "quick-2"]


class Scale(Config):
    """One size of everything; any part can be overridden on the command line.

    `margin` is δ, the smallest difference in test accuracy (a fraction) that matters at this size. `num_seeds` is for
    runs with a fixed number of seeds; studies choose theirs as results come in, where `is_adaptive`. A data set with
    fewer images than `train_size` gets more epochs, up to `most_epochs`, so that about as many images are seen.
    """

    name: ScaleName
    preset: str
    recipe: Recipe
    num_seeds: int
    margin: float
    val_size: int
    is_adaptive: bool = True
    train_size: int | None = None  # None: all that are not held out for validation
    test_size: int | None = None
    most_epochs: int | None = None  # None: those of the recipe, for any data set
    max_image_size: int | None = None  # larger images are resized to this many pixels; None: the preset's own size

    def recipe_for(self, name: str | None, epochs: int | None, train_size: int) -> Recipe:
        """Return the scale's recipe, or the named one: for the scale's epochs or the given ones, and with smaller
        batches if there are few images.

        Raises:
            ValueError: there is no recipe of that name, or it does not fit the number of epochs.
        """
        recipe = self.recipe if name is None else recipes.get_recipe(name)
        try:
            return recipe.replace(
                epochs=epochs or self.epochs_for(train_size), batch_size=min(recipe.batch_size, train_size)
            )
        except ValueError as error:
            raise ValueError(f"--recipe {name}: {error}" if name else str(error)) from None

    def epochs_for(self, train_size: int) -> int:
        """Return the epochs of a training on a number of images."""
        if self.train_size is None or self.most_epochs is None:
            return self.recipe.epochs
        enough = round(self.recipe.epochs * self.train_size / train_size)
        return min(max(enough, self.recipe.epochs), self.most_epochs)

    def sizes(
        self, source: Source, train_size: int | None, *, val_size: int | None = None
    ) -> tuple[int, int, int | None]:
        """Return the numbers of training, validation and test images for a source of any size; a given `val_size` is
        kept.
        """
        val_size = val_size or min(self.val_size, source.num_val or max(source.num_train // 10, 1))
        wanted = train_size if train_size is not None else self.train_size
        available = source.num_available(val_size)
        if train_size is not None and train_size > available:
            there = f"{source.title} leaves 2 to {available} after {val_size} for validation"
            raise ValueError(f"--train-size: {train_size} is not allowed; {there}")
        test_size = None if self.test_size is None or self.test_size >= source.num_test else self.test_size
        return min(wanted or available, available), val_size, test_size


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            preset="cifar_tiny",
            recipe=recipes.smoke(),
            num_seeds=2,
            margin=0.05,  # one of 128 test images is 0.78 pp
            is_adaptive=False,
            train_size=128,
            val_size=64,
            test_size=128,
            max_image_size=32,
        ),
        Scale(
            name="quick-2",
            preset="cifar_tiny",
            recipe=recipes.quick_2(),
            num_seeds=3,
            margin=0.01,
            train_size=30_000,
            val_size=1_000,
            most_epochs=6,
            max_image_size=64,
        ),
        Scale(
            name="quick-1",
            preset="cifar_tiny",
            recipe=recipes.quick_1(),
            num_seeds=3,
            margin=0.01,
            train_size=10_000,
            val_size=1_000,
            max_image_size=64,
        ),
        Scale(
            name="standard",
            preset="cifar_base",
            recipe=recipes.standard(),
            num_seeds=5,
            margin=0.005,
            val_size=5_000,
            max_image_size=128,
        ),
        Scale(
            name="paper",
            preset="paper",
            recipe=recipes.paper(),
            num_seeds=5,
            margin=0.0025,  # the paper's own gain over Inception V3, .790 against .782, is three times that
            val_size=10_000,
        ),
    )
}


def default_scale() -> str:
    """Return `standard` on a machine with an NVIDIA GPU, else `quick`; uses no library, so it is fast."""
    return "standard" if Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists() else "quick"


def get_scale(name: str) -> Scale:
    """Return a scale by name; without a number, its latest version.

    Raises:
        ValueError: there is none of that name.
    """
    name = recipes.LATEST.get(name, name)
    if name not in SCALES:
        raise ValueError(f"--scale: {name!r} is not known; allowed: {', '.join([*recipes.LATEST, *SCALES])}")
    return SCALES[name]
