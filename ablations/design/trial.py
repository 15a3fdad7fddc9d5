"""A trial: one training, and the permanent key that names it."""

from __future__ import annotations

from xception.base.canonical import Config, canonical_json, from_json, key_of
from xception.data.config import DatasetConfig
from xception.network.config import ModelConfig
from xception.train.recipe import Recipe

__all__ = ["SEMANTICS", "Trial", "read_trial"]

# Raised when the same configs begin to mean another training: every key then changes, and no record is reused.
SEMANTICS = 1


class Trial(Config):
    """A network, a recipe, a data set, a seed and a stream: nothing else determines the result of a training.

    `seed` draws the validation split; `seed` and `stream` together draw initial values, order and
    augmentation. Streams other than 0 give a second draw on the same split.
    """

    model: ModelConfig
    recipe: Recipe
    dataset: DatasetConfig
    seed: int
    stream: int = 0
    semantics: int

    def validate(self) -> None:
        if self.seed < 0:
            raise ValueError(f"Trial.seed: {self.seed} is not allowed; 0 or more")
        if self.stream < 0:
            raise ValueError(f"Trial.stream: {self.stream} is not allowed; 0 or more")

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return key_of(self)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return (self.model.in_channels, self.dataset.image_size, self.dataset.image_size)

    def to_json(self) -> str:
        """Return the canonical JSON, from which `read_trial` restores the trial."""
        return canonical_json(self)


def read_trial(text: str) -> Trial:
    """Return the trial that a JSON text describes.

    Raises:
        ValueError: the text does not describe a trial; the field is named.
    """
    return from_json(Trial, text)
