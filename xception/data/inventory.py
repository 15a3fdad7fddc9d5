"""Statistics from one pass over the decoded images: numbers per class, sizes, modes, broken and duplicate images."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xception.base.errors import DataError, printable
from xception.data.source import SplitName

__all__ = ["Inventory"]

MAX_LISTED_BROKEN = 1000
MAX_LISTED_LEAKS = 20


class Inventory:
    """Counts images as they are decoded: the training split first, then the others.

    Two images are duplicates if their decoded pixels are equal, regardless of file name and encoding.
    """

    def __init__(self, num_classes: int) -> None:
        self.broken: list[str] = []  # split, name and reason of each, of the first thousand
        self.num_broken = 0
        self._num_classes = num_classes
        self._counts: dict[SplitName, list[int]] = {}
        self._forms: Counter[tuple[int, int, str]] = Counter()
        self._seen: dict[bytes, tuple[int, SplitName]] = {}  # label and split of the first image with these pixels
        self._repeated: Counter[SplitName] = Counter()
        self._leaked: Counter[str] = Counter()
        self._leaks: list[str] = []
        self._num_conflicting = 0

    def add(
        self,
        split: SplitName,
        pixels: npt.NDArray[np.uint8],
        labels: Sequence[int],
        forms: Sequence[tuple[int, int, str]],
        names: Sequence[str],
    ) -> None:
        """Count images `(B, C, S, S)` with the height, width and mode of their files."""
        counts = self._counts.setdefault(split, [0] * self._num_classes)
        self._forms.update(forms)
        for image, label, name in zip(pixels, labels, names, strict=True):
            counts[label] += 1
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            first = self._seen.get(digest)
            if first is None:
                self._seen[digest] = (label, split)
                continue
            self._num_conflicting += first[0] != label
            if first[1] == split:
                self._repeated[split] += 1
                continue
            self._leaked[f"{split} in {first[1]}"] += 1
            if len(self._leaks) < MAX_LISTED_LEAKS:
                self._leaks.append(printable(f"{split} {name}"))

    def add_broken(self, split: SplitName, broken: Sequence[tuple[int, str]]) -> None:
        """Count images that cannot be decoded, each with its label, and its name and the reason."""
        self.num_broken += len(broken)
        room = MAX_LISTED_BROKEN - len(self.broken)
        self.broken += [printable(f"{split} {what}") for _, what in broken[:room]]

    def require_all_classes(self, class_names: Sequence[str], title: str) -> None:
        """Check that each class has a training image.

        Raises:
            DataError: a class has none that can be decoded; the class would have no training images.
        """
        counts = self._counts.get("train", [])
        empty = [name for name, num in zip(class_names, counts, strict=True) if num == 0]
        if empty:
            shown = ", ".join(repr(name) for name in empty[:5]) + (", …" if len(empty) > 5 else "")
            first = f" (first: {self.broken[0]})" if self.broken else ""
            raise DataError(
                f"{title}: no training image of {len(empty)} of {len(counts)} classes can be decoded, {shown}{first}; "
                "1 or more of each class"
            )

    def as_plain(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        modes: Counter[str] = Counter()
        for (_, _, mode), num in self._forms.items():
            modes[mode] += num
        return {
            "counts": self._counts,
            "heights": _range([(height, num) for (height, _, _), num in self._forms.items()]),
            "widths": _range([(width, num) for (_, width, _), num in self._forms.items()]),
            "num_sizes": len({(height, width) for height, width, _ in self._forms}),
            "modes": dict(modes.most_common()),
            "repeated": dict(self._repeated),
            "leaked": dict(self._leaked),
            "leaks": self._leaks,
            "num_conflicting": self._num_conflicting,
        }


def _range(lengths: list[tuple[int, int]]) -> list[int]:
    """Minimum, median and maximum of lengths with their counts."""
    lengths = sorted(lengths)
    total = sum(num for _, num in lengths)
    so_far = 0
    for length, num in lengths:
        so_far += num
        if 2 * so_far >= total:
            return [lengths[0][0], length, lengths[-1][0]]
    return [0, 0, 0]
