"""The design that variants change: the scale's network and recipe, adapted to the data and to the user's overrides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablations.design.options import Options
from ablations.design.overrides import Overrides
from ablations.design.scales import Scale
from ablations.design.study import Design
from xception.data.source import Source
from xception.network import presets
from xception.network.config import ModelConfig, TimmConfig, TorchvisionConfig
from xception.profile.subjects import read_subjects

__all__ = ["base_design", "image_size_of", "read_preset", "with_data_overrides"]

# Networks for images up to this size in pixels keep full resolution in their stem.
_SMALL_IMAGES = 64


def base_design(options: Options, overrides: Overrides, scale: Scale, source: Source, *, explicit: bool) -> Design:
    """Return the design that variants change; with `explicit` it states the number of training images even if it uses
    all.

    Raises:
        ValueError: an option, or a value that was set, does not fit the data or the network.
    """
    preset = options.preset or scale.preset
    train_size, val_size, test_size = _sizes(options, overrides, scale, source)
    image_size = image_size_of(options, overrides, scale, source)
    model = overrides.model(_with_stem(read_preset(preset)[0], image_size))
    model = model.for_data(num_classes=source.num_classes, in_channels=source.in_channels, input_size=image_size)
    if isinstance(model, TimmConfig):
        from xception.network.public_models import check_input_size

        check_input_size(model, image_size)
    recipe = overrides.recipe(scale.recipe_for(options.recipe, options.epochs, train_size))
    if recipe.batch_size > train_size:
        raise ValueError(
            f"--set recipe.batch_size: {recipe.batch_size} is not allowed; 2 to {train_size}, the training images"
        )
    stratified = {k: v for k, v in overrides.of("dataset").items() if k == "stratified"}
    is_whole = train_size == source.num_available(val_size) and not explicit
    return Design(
        model=model,
        recipe=recipe,
        dataset=source.config(
            image_size=image_size, train_size=None if is_whole else train_size, val_size=val_size, test_size=test_size
        ).replace(**stratified),
    )


def image_size_of(options: Options, overrides: Overrides, scale: Scale, source: Source) -> int:
    """Return the side in pixels that images are resized to."""
    network, image_size = read_preset(options.preset or scale.preset)
    if scale.max_image_size is not None:
        image_size = min(source.native_size, scale.max_image_size)
    if isinstance(network, TorchvisionConfig):
        image_size = max(image_size, network.least_input_size)
    return int(overrides.of("dataset").get("image_size", image_size))


def with_data_overrides(overrides: Overrides, source: Source) -> Source:
    """Return the data set as read with the user's overrides of its pixels and its validation split.

    Raises:
        ValueError: a validation split is requested that does not exist.
    """
    asked = overrides.of("dataset")
    if asked.get("validation") == "held_out":
        source = replace(source, num_val=0)
    elif asked.get("validation") == "separate" and not source.num_val:
        raise ValueError(
            f"--set dataset.validation: 'separate' is not allowed; {source.title} has no validation split of its own,"
            " so 'held_out'"
        )
    config = source.config()
    pixels = {name: asked[name] for name in ("channels", "orientation", "deep_bits") if name in asked}
    return source.seen_by(config.replace(**pixels))


def read_preset(name: str) -> tuple[ModelConfig, int]:
    """Return the network of a preset, or in a file that ends in .json, and the side in pixels of its usual images.

    Raises:
        ValueError: there is no such preset, or the file holds no network.
    """
    if name.endswith(".json"):
        subject = read_subjects(None, Path(name), None, option="--preset")[0]
        return subject.config, subject.input_size
    return presets.get(name), presets.input_size(name)


def _sizes(options: Options, overrides: Overrides, scale: Scale, source: Source) -> tuple[int, int, int | None]:
    """The numbers of training, validation and test images."""
    asked = overrides.of("dataset")
    if "train_size" in asked and asked["train_size"] is None:
        scale = scale.replace(train_size=None)
    for name, most in (("val_size", source.num_val or max(source.num_train // 2, 1)), ("test_size", source.num_test)):
        value = asked.get(name)
        if value is not None and value > most:
            raise ValueError(f"--set dataset.{name}: {value} is not allowed; at most {most} of {source.title}")
    scale = scale.replace(**{name: asked[name] for name in ("val_size", "test_size") if name in asked})
    return scale.sizes(source, options.train_size or asked.get("train_size"), val_size=asked.get("val_size"))


def _with_stem(model: ModelConfig, image_size: int) -> ModelConfig:
    """The network; a ResNet gets the usual stem for small images."""
    if isinstance(model, TorchvisionConfig) and model.name.startswith("resnet") and image_size <= _SMALL_IMAGES:
        return model.replace(stem="cifar")
    return model
