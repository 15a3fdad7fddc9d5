"""Show that the embedded data set needs more than a linear model and no more than a small network.

    python -m xception synthetic [--kappa K] [--seeds N] [--epochs N] [--threads N] [--json]

The linear model is multinomial logistic regression on all pixels, trained by Adam at several strengths of weight decay.
The best accuracy **on the test set** over all of these and all epochs is reported, which favours it. The network is
`cifar_tiny`, trained once per seed by one recipe, its test accuracy read at the end. Cost: about 2 minutes a seed on
one CPU core.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from xception.base.command_line import parse, refuse
from xception.data import AugmentConfig, Dataset, find, load
from xception.data.augment import normalise
from xception.data.synthetic import DEFAULT_KAPPA
from xception.network import presets
from xception.train.loop import fit
from xception.train.recipe import SGD, OneCycle, Recipe

WEIGHT_DECAYS = (0.0, 0.1, 1.0)
LINEAR_EPOCHS = 10


@dataclass
class Options:
    """Data and length of training."""

    kappa: float = DEFAULT_KAPPA
    """Degree to which colour and shape are entangled, 0 to 1."""
    seeds: int = 3
    """Seeds, from 0."""
    epochs: int = 4
    """Epochs of the network."""
    threads: int = 1
    """Threads of one training."""
    json: bool = False
    """Print one JSON document instead of a table."""


def linear_accuracy(dataset: Dataset, seed: int, weight_decay: float) -> float:
    """Return the best test accuracy over the epochs of a multinomial logistic regression on normalised pixels, a
    fraction.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, tests = (normalise(part.images, dataset.statistics).flatten(1) for part in (dataset.train, dataset.test))
    weight = (0.01 * torch.randn(dataset.source.num_classes, inputs.shape[1], generator=generator)).requires_grad_()
    bias = torch.zeros(dataset.source.num_classes, requires_grad=True)
    optimiser = torch.optim.AdamW([weight, bias], lr=1e-3, weight_decay=weight_decay)
    best = 0.0
    for _ in range(LINEAR_EPOCHS):
        for batch in torch.split(torch.randperm(len(inputs), generator=generator), 250):
            optimiser.zero_grad()
            loss = F.cross_entropy(F.linear(inputs[batch], weight, bias), dataset.train.labels[batch])
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            best = max(best, float((F.linear(tests, weight, bias).argmax(1) == dataset.test.labels).float().mean()))
    return best


def network_accuracy(dataset: Dataset, seed: int, epochs: int) -> float:
    """Return the test accuracy of `cifar_tiny` after training, a fraction; 0 where it diverged."""
    recipe = Recipe(
        epochs=epochs,
        batch_size=128,
        optimizer=SGD(learning_rate=0.2, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(),
        ema_decay=0.99,
        augment=AugmentConfig(flip=True, crop_padding=4),
    )
    data = dataset.source.config(val_size=1000)
    return (
        fit(model=presets.get("cifar_tiny"), recipe=recipe, dataset=dataset, data=data, seed=seed).test_accuracy or 0.0
    )


def synthetic(args: Sequence[str] | None = None) -> int:
    """Train both models on every seed and print their test accuracies; return the exit status."""
    options = parse(Options, args, prog="python -m xception synthetic", description=str(__doc__))
    if min(options.seeds, options.epochs, options.threads) < 1:
        refuse("python -m xception synthetic", "--seeds, --epochs and --threads: 1 or more are allowed")
    torch.set_num_threads(options.threads)
    try:
        dataset = load(find(f"synthetic:kappa={options.kappa}"))
    except ValueError as error:
        refuse("python -m xception synthetic", error)
    sizes = f"{len(dataset.train)} training and {len(dataset.test)} test images"
    print(f"{dataset.source.title}: {sizes}; test accuracies in percent", file=sys.stderr)
    rows = []
    for seed in range(options.seeds):
        linear = max(linear_accuracy(dataset, seed, decay) for decay in WEIGHT_DECAYS)
        network = network_accuracy(dataset, seed, options.epochs)
        rows.append({"seed": seed, "linear": linear, "cifar_tiny": network})
        if not options.json:
            print(
                f"seed {seed}   linear, at its best {100 * linear:5.1f}   cifar_tiny {100 * network:5.1f}", flush=True
            )
    if options.json:
        print(json.dumps({"kappa": options.kappa, "rows": rows}))
    return 0
