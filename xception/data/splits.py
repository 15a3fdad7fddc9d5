"""Train, validation and test: validation is held out of the training set, or a split of its own, and never of the test
set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.data.orders import drawn_order
from xception.data.source import check_sizes

__all__ = ["Split", "permutation", "split"]


@dataclass(frozen=True)
class Split:
    """The data of a trial; the `index` of each part holds positions in the data set."""

    train: Images
    val: Images
    test: Images


def split(dataset: Dataset, config: DatasetConfig, seed: int) -> Split:
    """Return the parts for a seed: the same for every variant with that seed.

    A permutation of the training set that depends on the seed alone gives its first `val_size` images to
    validation and the next `train_size` to training, so the training size does not affect validation. Where the
    data set has validation images of its own, `val_size` of those are taken and training begins with the first. A part
    of the test set, or of a validation split, is the same for every seed. With `stratified` validation takes the first
    images of each class in that order, in proportion to its size, and training takes the remaining ones.

    Raises:
        DataError: more images are requested than exist.
    """
    separate = dataset.val if config.validation == "separate" else None
    check_sizes(
        config,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_val=0 if separate is None else len(separate),
    )
    order = permutation(len(dataset.train), seed)
    if config.stratified:
        order = _stratified(order, dataset.train.labels, config.val_size)
    first = config.val_size if separate is None else 0
    last = None if config.train_size is None else first + config.train_size
    test = dataset.test
    if config.test_size is not None:
        test = test.select(permutation(len(test), seed=0, purpose=1)[: config.test_size])
    if separate is None:
        val = dataset.train.select(order[:first])
    else:
        val = separate.select(permutation(len(separate), seed=0, purpose=2)[: config.val_size])
    return Split(dataset.train.select(order[first:last]), val, test)


def _stratified(order: torch.Tensor, labels: torch.Tensor, num: int) -> torch.Tensor:
    """The order with `num` images in front, of each class in proportion by largest remainders, ties to lower classes;
    both parts keep their order.
    """
    counts = torch.bincount(labels)
    quotas = counts * num // len(labels)
    remainders = counts * num % len(labels)
    quotas[torch.argsort(remainders, descending=True, stable=True)[: num - int(quotas.sum())]] += 1
    is_chosen = torch.zeros(len(order), dtype=torch.bool)
    ordered = labels[order]
    for label, quota in enumerate(quotas.tolist()):
        is_chosen[torch.nonzero(ordered == label).flatten()[:quota]] = True
    return torch.cat((order[is_chosen], order[~is_chosen]))


def permutation(num: int, seed: int, purpose: int = 0) -> torch.Tensor:
    """Return 0 … num−1 in an order drawn from a seed, int64; see `xception.data.orders`."""
    return torch.from_numpy(drawn_order(num, seed, purpose))
