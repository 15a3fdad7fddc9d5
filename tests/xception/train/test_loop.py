"""The results of a training."""

from __future__ import annotations

import torch

from tests.xception.train.tiny_training import Training, tiny_recipe


def test_torchs_global_generator_is_left_as_it_was(tiny_training: Training) -> None:
    before = torch.get_rng_state()
    tiny_training(recipe=tiny_recipe(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)
