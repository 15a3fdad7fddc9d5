"""The embedded data set: ten classes of a colour and a shape, made from a seed; kappa sets how far the two are
entangled.

Each image holds one pattern, the outer product of a colour (one of ten axes in RGB) and a shape (one of ten Walsh
functions of 12 × 12 pixels), at a random position, with a random sign, on a random background, with noise. The class
follows from the pair (colour, shape) by an idempotent Latin square: ten by ten, each class once in a row and once in a
column, class k at (k, k).

- kappa 0: only the pairs (k, k) occur. The class follows from the colour alone, and from the shape alone.
- kappa 1: all hundred pairs occur equally often. Every statistic of the colour alone, or of the shape alone, is the
  same in each class: only the pairing distinguishes classes.
- in between: that fraction of each class's images is drawn as for kappa 1. The rule from pair to class never changes.

The random sign makes every class's mean image the same flat grey, so a linear model of the pixels performs close to
chance at any kappa. Mirroring left to right keeps shapes (up to sign), so flips keep the class.

Random numbers are the raw 64-bit stream of PCG64, which numpy guarantees, and all else is integer arithmetic: the same
bytes everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xception.base.errors import DataError
from xception.data.source import TRAIN_AND_TEST, Example, Source, SplitName

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DEFAULT_KAPPA",
    "SyntheticReader",
    "class_pairs",
    "find_synthetic",
    "generate",
    "latin_square",
    "shape_patterns",
]

VERSION = 2  # raised when the same parameters give other images
NUM_CLASSES, SIDE, PATTERN = 10, 32, 12
SIZES: dict[SplitName, int] = {"train": 12_000, "test": 2_000}
DEFAULT_KAPPA = 0.5
AMPLITUDE = 26  # of the pattern along each colour axis of length √3, in gray levels
NOISE = 9  # the noise is the sum of two random bytes, centred, times this over 64: a deviation of 15 grey levels

# The ten axes through opposite corners of a dodecahedron, in thousandths, each of length √3: no two are closer than
# 41.8°.
COLOURS = (
    (1000, 1000, 1000),
    (1000, 1000, -1000),
    (1000, -1000, 1000),
    (-1000, 1000, 1000),
    (0, 618, 1618),
    (0, 618, -1618),
    (618, 1618, 0),
    (618, -1618, 0),
    (1618, 0, 618),
    (-1618, 0, 618),
)
# Walsh functions on four steps; a shape is a product of one across and one down, but not of the two constant ones.
WALSH = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, -1, 1), (1, -1, 1, -1))
SHAPES = ((0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3), (1, 3))


@dataclass(frozen=True)
class SyntheticReader:
    """Generates the images of one kappa."""

    kappa: float

    splits = TRAIN_AND_TEST
    notes = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers, since the patterns have no names."""
        return tuple(f"pattern {k}" for k in range(NUM_CLASSES))

    def stamp(self) -> str:
        """Return the parameters, since there are no files."""
        return f"synthetic {VERSION} {self.kappa!r}"

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every image."""
        images, labels = generate(split, self.kappa)
        for i in range(len(images)):
            yield Example(images[i], int(labels[i]), f"synthetic {split}[{i}]")


def find_synthetic(options: str) -> Source:
    """Return the set named `synthetic`, or `synthetic:kappa=0.5`. Nothing is generated yet.

    Raises:
        DataError: an option is unknown or kappa is out of range.
    """
    kappa = DEFAULT_KAPPA
    if options:
        name, _, value = options.partition("=")
        try:
            kappa = float(value) + 0.0
        except ValueError:
            kappa = -1.0
        if name != "kappa" or not 0 <= kappa <= 1:
            raise DataError(f"synthetic:{options} is not allowed; synthetic or synthetic:kappa=K with K from 0 to 1")
    reader = SyntheticReader(kappa)
    plain = kappa == DEFAULT_KAPPA
    return Source(
        name="synthetic" if plain else f"synthetic:kappa={kappa!r}",
        title="synthetic" if plain else f"synthetic (kappa {kappa!r})",
        fingerprint=hashlib.sha256(f"xception {reader.stamp()}".encode()).hexdigest(),
        num_train=SIZES["train"],
        num_test=SIZES["test"],
        class_names=reader.class_names,
        native_size=SIDE,
        reader=reader,
        generated=True,
    )


def latin_square() -> npt.NDArray[np.int64]:
    """Return the class of every pair (colour, shape), `(10, 10)`: a Latin square with class k at (k, k).

    On 0 … 8 the cell (i, j) is (i + j) / 2 modulo 9. The cells (i, i + 1) hold every value once: they are given to
    class 9, and what they held moves to a tenth row and column.
    """
    import numpy as np

    n = NUM_CLASSES - 1
    i, j = np.indices((n, n))
    square = np.full((n + 1, n + 1), n, dtype=np.int64)
    square[:n, :n] = (i + j) * ((n + 1) // 2) % n
    for row in range(n):
        column = (row + 1) % n
        moved = square[row, column]
        square[row, column] = n
        square[row, n] = square[n, column] = moved
    return square


def generate(split: SplitName, kappa: float) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images `(N, 3, 32, 32)` and labels `(N,)` of a split; training and test set are drawn from the same
    classes.
    """
    import numpy as np

    num = SIZES[split]
    stream = np.random.PCG64([VERSION, 0 if split == "train" else 1])
    labels, colours, shapes = class_pairs(num, kappa, stream)
    place = SIDE - PATTERN + 1
    rows, columns = _below(place, num, stream), _below(place, num, stream)
    sign = 2 * _below(2, num, stream) - 1
    background = 96 + _below(64, (num, 3), stream)

    pixels = _sums_of_two_bytes(num * 3 * SIDE * SIDE, stream).reshape(num, 3, SIDE, SIDE)
    pixels -= 255
    pixels *= NOISE
    pixels >>= 6
    pixels += background[:, :, None, None].astype(np.int16)
    # (N, 3, 1, 1) × (N, 1, 12, 12): the outer product of a colour and a shape.
    axes = (np.array(COLOURS) * AMPLITUDE // 1000).astype(np.int16)
    patterns = (sign[:, None] * axes[colours])[:, :, None, None].astype(np.int16) * shape_patterns()[shapes][:, None]
    for image, pattern, row, column in zip(pixels, patterns, rows.tolist(), columns.tolist(), strict=True):
        image[:, row : row + PATTERN, column : column + PATTERN] += pattern
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8), labels


def class_pairs(
    num: int, kappa: float, stream: Any
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labels, colours and shapes `(N,)`: in each class the fraction kappa runs evenly through the ten pairs of the
    class.
    """
    import numpy as np

    order = np.argsort(stream.random_raw(num), kind="stable")
    labels, rank = order % NUM_CLASSES, order // NUM_CLASSES
    entangled = rank < round(kappa * (num // NUM_CLASSES))
    colours = np.where(entangled, rank % NUM_CLASSES, labels)
    shape_of = np.argsort(latin_square(), axis=1)  # [colour, class] -> shape
    return labels, colours, shape_of[colours, labels]


def shape_patterns() -> npt.NDArray[np.int16]:
    """The shapes `(10, 12, 12)` of +1 and −1, each of sum 0."""
    import numpy as np

    walsh = np.repeat(np.array(WALSH, dtype=np.int16), PATTERN // 4, axis=1)
    return np.stack([walsh[down][:, None] * walsh[across] for down, across in SHAPES])


def _below(bound: int, shape: int | tuple[int, ...], stream: Any) -> npt.NDArray[np.int64]:
    """Whole numbers from 0 to bound − 1; the bias of the modulus, bound / 2⁶⁴, is negligible."""
    import numpy as np

    raw: npt.NDArray[np.uint64] = stream.random_raw(int(np.prod(shape)))
    return (raw % np.uint64(bound)).astype(np.int64).reshape(shape)


def _sums_of_two_bytes(num: int, stream: Any) -> npt.NDArray[np.int16]:
    """Sums `(num,)` from 0 to 510, more often near 255; num is a multiple of 4."""
    import numpy as np

    raw: npt.NDArray[np.uint64] = stream.random_raw(num // 4)
    even = np.uint64(0x00FF00FF00FF00FF)
    sums = (raw & even) + (raw >> np.uint64(8) & even)  # four sums of two bytes in every word
    in_order: npt.NDArray[np.int16] = sums.astype("<u8", copy=False).view("<i2").astype(np.int16, copy=False)
    return in_order
