"""Train, validation and test: validation is held out of the training set, and the test set is never touched for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.data.source import check_sizes

__all__ = ["Split", "permutation", "split"]


@dataclass(frozen=True)
class Split:
    """What a trial may see; `index` of each part says which images of the data set they are."""

    train: Images
    val: Images
    test: Images


def split(dataset: Dataset, config: DatasetConfig, seed: int) -> Split:
    """Return the parts for a seed: the same for every variant that has it.

    A permutation of the training set that depends on the seed alone gives its first `val_size` images to
    validation and the next `train_size` to training, so another training size leaves validation as it was. A part of
    the test set is the same for every seed.

    Raises:
        DataError: more images are asked for than there are.
    """
    check_sizes(config, num_train=len(dataset.train), num_test=len(dataset.test))
    order = permutation(len(dataset.train), seed)
    last = None if config.train_size is None else config.val_size + config.train_size
    test = dataset.test
    if config.test_size is not None:
        test = test.select(permutation(len(test), seed=0, purpose=1)[: config.test_size])
    return Split(
        dataset.train.select(order[config.val_size : last]), dataset.train.select(order[: config.val_size]), test
    )


def permutation(num: int, seed: int, purpose: int = 0) -> torch.Tensor:
    """Return 0 … num−1 in an order drawn from a seed, int64; the same in every version of numpy and torch.

    The order is that of the raw 64-bit stream of PCG64, which numpy guarantees, where `Generator.permutation` may
    change.
    """
    return torch.from_numpy(np.argsort(np.random.PCG64([seed, purpose]).random_raw(num), kind="stable"))
