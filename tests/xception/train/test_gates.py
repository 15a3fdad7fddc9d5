"""The fast path against a plain one: NCHW, nothing in place, one image at a time through the augmentation, torch's own
optimiser. Both train in float64, so that only the algebra is compared.

The contract of executors (`tests/contracts`) tests that parallel workers give the same bits as single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.xception.train.tiny_training import tiny_model
from xception.data import load
from xception.data.config import AugmentConfig
from xception.data.dataset import Dataset
from xception.data.names import find
from xception.data.splits import split
from xception.network.config import ModelConfig
from xception.network.initialisation import initialise
from xception.network.model import build
from xception.train.loop import fit
from xception.train.randomness import derive_seed
from xception.train.recipe import SGD, AdamW, Constant, Optimizer, Recipe, RMSprop

pytestmark = pytest.mark.numeric

SEED, STREAM = 3, 1
STEPS, BATCH_SIZE, SIDE, PADDING = 8, 16, 16, 4
TOLERANCE = 1e-9  # relative, of losses in float64 over all steps

MakeOptimiser = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load(find("synthetic", None), SIDE)


def make_recipe(optimizer: Optimizer) -> Recipe:
    """As many epochs of one step each as there are steps, so that the curves hold the loss of every step."""
    augment = AugmentConfig(flip=True, crop_padding=PADDING)
    return Recipe(
        epochs=STEPS,
        batch_size=BATCH_SIZE,
        optimizer=optimizer,
        schedule=Constant(),
        decay="all",
        augment=augment,
        label_smoothing=0.1,
    )


def fast_losses(model: ModelConfig, recipe: Recipe, dataset: Dataset) -> list[float]:
    rows = fit(
        model=model,
        recipe=recipe,
        dataset=dataset,
        data=dataset.source.config(image_size=SIDE, train_size=BATCH_SIZE, val_size=1, test_size=1),
        seed=SEED,
        stream=STREAM,
    ).curves
    return [row["train_loss"] for row in rows]


def plain_losses(model: ModelConfig, recipe: Recipe, dataset: Dataset, make_optimiser: MakeOptimiser) -> list[float]:
    config = dataset.source.config(image_size=SIDE, train_size=BATCH_SIZE, val_size=1, test_size=1)
    train = split(dataset, config, SEED).train
    network = build(model)
    initialise(network, model.initialisation, seed=derive_seed("initial values", SEED, STREAM))
    for module in network.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010
    optimiser = make_optimiser(network.parameters())
    losses = []
    for epoch in range(STEPS):
        order = torch.randperm(
            BATCH_SIZE, generator=torch.Generator().manual_seed(derive_seed("order", SEED, STREAM, epoch))
        )
        draws = torch.Generator().manual_seed(derive_seed("augmentation", SEED, STREAM, epoch, 0))
        flips = torch.randint(2, (BATCH_SIZE,), generator=draws).tolist()
        tops, lefts = torch.randint(2 * PADDING + 1, (2, BATCH_SIZE), generator=draws).tolist()
        images = torch.stack(
            [
                plain_image(train.images[place], dataset, flip=bool(flip), top=top, left=left)
                for place, flip, top, left in zip(order.tolist(), flips, tops, lefts, strict=True)
            ]
        )
        optimiser.zero_grad()
        loss = F.cross_entropy(network(images), train.labels[order], label_smoothing=recipe.label_smoothing)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def plain_image(image: Tensor, dataset: Dataset, *, flip: bool, top: int, left: int) -> Tensor:
    """One image flipped, padded with black, cropped and normalised, in float64 until the end."""
    pixels = image.flip(2) if flip else image
    padded = torch.zeros(3, SIDE + 2 * PADDING, SIDE + 2 * PADDING, dtype=torch.float64)
    padded[:, PADDING : PADDING + SIDE, PADDING : PADDING + SIDE] = pixels / 255
    window = padded[:, top : top + SIDE, left : left + SIDE]
    mean, std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (dataset.statistics.mean, dataset.statistics.std)
    )
    return ((window - mean) / std).to(torch.get_default_dtype())


SGD_OURS = SGD(learning_rate=0.05, nesterov=True, weight_decay=5e-4)


def plain_sgd(parameters: Iterable[Tensor], momentum: float = 0.9, rate: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum, nesterov=True, weight_decay=5e-4, foreach=False)


def plain_adamw(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, eps=1e-4, weight_decay=0.01, foreach=False)


def plain_rmsprop(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, lr=1e-3, momentum=0.9, alpha=0.9, eps=1e-2, weight_decay=1e-4, foreach=False)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("optimizer", "make_optimiser"),
    [
        pytest.param(SGD_OURS, plain_sgd, id="sgd"),
        pytest.param(AdamW(learning_rate=1e-3, epsilon=1e-4, weight_decay=0.01), plain_adamw, id="adamw"),
        pytest.param(RMSprop(learning_rate=1e-3, epsilon=1e-2, weight_decay=1e-4), plain_rmsprop, id="rmsprop"),
    ],
)
def test_steps_of_the_fast_path_are_those_of_the_plain_one(
    dataset: Dataset, optimizer: Optimizer, make_optimiser: MakeOptimiser
) -> None:
    recipe = make_recipe(optimizer)
    fast, plain = (
        fast_losses(tiny_model(), recipe, dataset),
        plain_losses(tiny_model(), recipe, dataset, make_optimiser),
    )
    assert len(fast) == len(plain) == STEPS
    assert largest_difference(fast, plain) <= TOLERANCE


@pytest.mark.usefixtures("in_float64")
def test_another_step_differs(dataset: Dataset) -> None:
    """The tolerance detects a momentum of 0.8999 in place of 0.9."""
    recipe = make_recipe(SGD_OURS)
    other = plain_losses(tiny_model(), recipe, dataset, partial(plain_sgd, momentum=0.8999))
    assert largest_difference(fast_losses(tiny_model(), recipe, dataset), other) > 100 * TOLERANCE


def largest_difference(losses: list[float], expected: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True))


def test_first_steps_in_float32_are_those_of_the_plain_one(dataset: Dataset) -> None:
    """The kernels of float32 differ from those of float64; over two steps rounding errors stay small."""
    recipe = make_recipe(SGD(learning_rate=1e-3, nesterov=True, weight_decay=5e-4))
    fast = fast_losses(tiny_model(), recipe, dataset)[:2]
    plain = plain_losses(tiny_model(), recipe, dataset, partial(plain_sgd, rate=1e-3))[:2]
    assert largest_difference(fast, plain) <= 1e-5
