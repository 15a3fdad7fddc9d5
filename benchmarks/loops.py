"""The training loops that are compared: ours, and those that a user would otherwise write.

Network, data, augmentation (flip, crop from 4 pixels of padding), batch and optimiser are the same. The peers follow
their documentation: a DataLoader with torchvision's transforms (PyTorch's tutorial *Training a classifier*), timm's
loader and the loop of its `train.py`, and Keras's `fit` on the torch backend with its preprocessing layers in the
model. Every loop continues until `on_step`, called after each step, raises `TrainingStopped`.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Literal

from benchmarks.keras_network import keras_network
from xception.data.config import AugmentConfig
from xception.network import presets
from xception.network.closed_form import complexity
from xception.network.config import ModelConfig, XceptionConfig
from xception.train.process import keep_freed_memory, prepare_process
from xception.train.recipe import SGD, Constant, Recipe

__all__ = ["AUGMENT", "BATCH_SIZE", "PRESET", "Loop", "model_config", "recipe", "settle", "side_by_side", "train"]

PRESET = "cifar_small"
BATCH_SIZE = 128
LEARNING_RATE, MOMENTUM = 0.05, 0.9
PADDING = 4
AUGMENT = AugmentConfig(flip=True, crop_padding=PADDING)
_LONG = 10_000_000  # more steps than any benchmark takes

PRODUCT_SIDE = 1024  # side of the square matrices whose products measure the machine's rate

OnStep = Callable[[], None]
# `batches` loads ours without a network, `loading` those of a DataLoader, `products` multiplies matrices alone: a step
# is compared with them.
Kind = Literal["ours", "dataloader", "timm", "keras", "batches", "loading", "products"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One way to train, with its resources and options."""

    kind: Kind
    processes: int = 1  # trainings side by side
    threads: int | None = None  # of one process; None: torch's own choice, one per core
    loader_workers: int = 0
    streamed: bool = False  # batches are read from the mapped files of the cache
    tuned: bool = False  # a peer with our memory layout and allocator
    cores: tuple[int, ...] | None = None  # that it may run on; None: all
    device: str = "cpu"
    precision: Precision = "float32"
    preset: str = PRESET
    width: float = 1.0  # factor on all of the preset's widths
    config: ModelConfig | None = None  # instead of the preset
    recipe: Recipe | None = None  # for our loop, instead of the common one, except epochs and schedule

    @property
    def network(self) -> ModelConfig:
        """What is trained."""
        return self.config or model_config(self.preset).replace(width_multiplier=self.width)


def model_config(preset: str) -> XceptionConfig:
    """Return a preset of ours by name."""
    config = presets.get(preset)
    assert isinstance(config, XceptionConfig)
    return config


def recipe(precision: Literal["float32", "bfloat16", "float16"] = "float32") -> Recipe:
    """Return the recipe that all loops follow."""
    sgd = SGD(learning_rate=LEARNING_RATE, momentum=MOMENTUM)
    return Recipe(
        epochs=_LONG, batch_size=BATCH_SIZE, optimizer=sgd, schedule=Constant(), augment=AUGMENT, precision=precision
    )


def settle(loop: Loop) -> None:
    """Restrict this process to the loop's cores, before torch counts them to choose its number of threads."""
    if loop.cores is not None:
        os.sched_setaffinity(0, loop.cores)


def train(loop: Loop, on_step: OnStep) -> None:
    """Train in this process until `on_step` raises; call it once in a process, before the first tensor.

    Raises:
        TrainingStopped: `on_step` raised it.
    """
    if loop.kind in ("ours", "batches", "products"):
        prepare_process(loop.threads or 1)
    elif loop.tuned:
        keep_freed_memory()
    loops: dict[Kind, Callable[[Loop, OnStep], None]] = {
        "ours": _ours,
        "dataloader": _dataloader,
        "timm": _timm,
        "keras": _keras,
        "batches": _batches,
        "loading": _loading,
        "products": _products,
    }
    loops[loop.kind](loop, on_step)


def _dataset() -> Any:
    from xception.data import load
    from xception.data.names import find

    return load(find("synthetic", None), 32)


def _ours(loop: Loop, on_step: OnStep) -> None:
    """What a worker of a study runs."""
    from xception.train.loop import fit

    dataset = _dataset()
    fit(
        model=loop.network,
        recipe=(loop.recipe or recipe(loop.precision)).replace(epochs=_LONG, schedule=Constant()),
        dataset=dataset,
        data=dataset.source.config(image_size=32, val_size=BATCH_SIZE, test_size=BATCH_SIZE),
        seed=0,
        device=loop.device,
        on_step=on_step,
    )


def _batches(loop: Loop, on_step: OnStep) -> None:
    """Ours without the network: batches are taken and augmented as by the trainer."""
    import torch

    from xception.data.augment import augment

    dataset = _dataset()
    images = dataset.train.place(loop.device, max_bytes=0 if loop.streamed else None)
    classes = dataset.source.num_classes
    for step in count():
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randperm(len(images), generator=generator)[:BATCH_SIZE].to(images.storage.device)
        pixels, labels = images.batch(chosen)
        pixels, _ = augment(pixels, labels, AUGMENT, generator, statistics=dataset.statistics, num_classes=classes)
        pixels.contiguous(memory_format=torch.channels_last)
        on_step()


def _products(loop: Loop, on_step: OnStep) -> None:
    """Products of float32 matrices that fit into the cache."""
    import torch

    left, right = torch.randn(2, PRODUCT_SIDE, PRODUCT_SIDE, device=loop.device).unbind()
    out = torch.empty_like(left)
    while True:
        torch.mm(left, right, out=out)
        on_step()


def _dataloader(loop: Loop, on_step: OnStep) -> None:
    """PyTorch's tutorial."""
    import torch

    _plain_loop(loop, torch.optim.SGD, _forever(_loader(loop)), on_step)


def _loading(loop: Loop, on_step: OnStep) -> None:
    """The DataLoader without a network."""
    for _ in _forever(_loader(loop)):
        on_step()


def _loader(loop: Loop) -> Iterable[Any]:
    """PyTorch's DataLoader with torchvision's transforms, of images in the form that its CIFAR-10 returns."""
    from torch.utils.data import DataLoader
    from torchvision import transforms

    dataset = _dataset()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(dataset.statistics.mean, dataset.statistics.std),
        ]
    )
    pictures: Any = _Pictures(dataset, transform)
    return DataLoader(
        pictures,
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=loop.loader_workers,
        pin_memory=loop.device != "cpu",
    )


def _timm(loop: Loop, on_step: OnStep) -> None:
    """The loader of timm, which normalises whole batches on the device, its optimiser and the steps of its
    `train.py`.
    """
    import timm.data
    import timm.optim
    import torch
    from torchvision import transforms

    dataset = _dataset()
    device = torch.device(loop.device)
    pictures: Any = _Pictures(dataset, None)
    loader = timm.data.create_loader(  # type: ignore[attr-defined]
        pictures,
        input_size=(3, 32, 32),
        batch_size=BATCH_SIZE,
        is_training=True,
        mean=dataset.statistics.mean,
        std=dataset.statistics.std,
        num_workers=loop.loader_workers,
        device=device,
        pin_memory=loop.device != "cpu",
        persistent_workers=loop.loader_workers > 0,
    )
    # Its own transforms are those of ImageNet; its loader takes uint8 arrays of (C, H, W).
    pictures.transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            _as_array,
        ]
    )
    optimiser_of = partial(timm.optim.create_optimizer_v2, opt="momentum")  # type: ignore[attr-defined]
    _plain_loop(loop, optimiser_of, _forever(loader), on_step)


def _as_array(image: Any) -> Any:
    import numpy as np

    return np.array(image).transpose(2, 0, 1)


def _plain_loop(loop: Loop, optimiser_of: Callable[..., Any], batches: Iterable[Any], on_step: OnStep) -> None:
    """Forward, backward, step: the loop of both, with autocast and channels-last if they are enabled."""
    import torch
    from torch import nn

    from xception.network.model import build

    device = torch.device(loop.device)
    model = build(loop.network).to(device).train()
    layout = torch.channels_last if loop.tuned else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimiser = optimiser_of(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    criterion = nn.CrossEntropyLoss()
    for images, labels in batches:
        images = images.to(device, non_blocking=True).contiguous(memory_format=layout)
        labels = labels.to(device, non_blocking=True)
        optimiser.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=loop.precision == "bfloat16"):
            loss = criterion(model(images), labels)
        loss.backward()
        optimiser.step()
        on_step()


def _keras(loop: Loop, on_step: OnStep) -> None:
    """Keras's `fit` on arrays, with its preprocessing layers at the head of the model."""
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    from keras import layers

    if loop.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    dataset = _dataset()
    images = dataset.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    labels = dataset.train.labels.numpy()
    pixels = (
        [255 * value for value in dataset.statistics.mean],
        [(255 * value) ** 2 for value in dataset.statistics.std],
    )
    inputs = keras.Input(images.shape[1:])
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomCrop(32, 32)(layers.ZeroPadding2D(PADDING)(x))
    x = layers.Normalization(mean=pixels[0], variance=pixels[1])(x)
    config = model_config(loop.preset)
    model = keras.Model(inputs, keras_network(config, x))
    ours, theirs = complexity(config, 32).params, sum(math.prod(weight.shape) for weight in model.trainable_weights)
    if ours != theirs:
        raise ValueError(f"network: {theirs} parameters in Keras are not allowed; {ours}, as in ours")
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=LEARNING_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    after_step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: on_step())
    for _ in count():
        model.fit(images, labels, batch_size=BATCH_SIZE, epochs=1, verbose=0, callbacks=[after_step])


class _Pictures:
    """A data set like torchvision's CIFAR-10: an array of pixels; each image goes through PIL and a transform."""

    def __init__(self, dataset: Any, transform: Any) -> None:
        self.data = dataset.train.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = dataset.train.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def _forever(loader: Iterable[Any]) -> Iterable[Any]:
    while True:
        yield from loader


def side_by_side(loop: Loop) -> list[Loop]:
    """Return one loop for each process."""
    return [replace(loop, processes=1)] * loop.processes
