"""The roles of a layout's parts as splits, and what a user may choose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from xception.base.errors import DataError
from xception.data.source import TRAIN_AND_TEST, Example, Reader, SplitName

__all__ = ["AS_FOUND", "WHOLE", "HeldOutReader", "LabelledReader", "Layout", "assign_splits", "role_of"]

# In the order of preference; the names of splits are compared without case.
ROLES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "validation", "valid", "dev"),
}
WHOLE = "."  # the one split of a folder that names none
TEST_SHARE = 5  # one image in five of each class, if a test set has to be held out


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A user's choices for a data set; None and empty mean automatic."""

    splits: tuple[tuple[SplitName, str], ...] = ()  # the folder or split for each role
    image_column: str | None = None
    label_column: str | None = None
    channels: Literal[1, 3] | None = None

    @classmethod
    def parse_splits(cls, text: str) -> tuple[tuple[SplitName, str], ...]:
        """Return the splits that a text such as `train=a,test=b` names.

        Raises:
            DataError: the text is of another form, or names no training split.
        """
        out: dict[SplitName, str] = {}
        for part in text.split(","):
            role, equals, name = (word.strip() for word in part.partition("="))
            if role not in ROLES or not equals or not name or role in out:
                raise DataError(f"--splits: {text!r} is not allowed; train=NAME,test=NAME,val=NAME, each at most once")
            out[role] = name
        if "train" not in out or len(set(out.values())) < len(out):
            raise DataError(f"--splits: {text!r} is not allowed; a training split, and another name for each split")
        return tuple(out.items())

    def without_columns(self, place: str) -> Layout:
        """Return this for a layout without columns.

        Raises:
            DataError: a column is named.
        """
        for flag, value in (("--image-column", self.image_column), ("--label-column", self.label_column)):
            if value is not None:
                raise DataError(f"{flag}: {value!r} has no effect on {place}; a column of Parquet files")
        return self

    def without_files(self, place: str) -> Layout:
        """Return this for a data set with one fixed layout.

        Raises:
            DataError: a split or a column is named.
        """
        if self.splits:
            raise DataError(f"--splits: has no effect on {place}, whose splits are fixed; leave it out")
        return self.without_columns(place)


AS_FOUND = Layout()


def role_of(name: str) -> SplitName | None:
    """Return the split that a word names, in upper or lower case; None for any other word."""
    return next((role for role, words in ROLES.items() if name.casefold() in words), None)


def assign_splits(
    is_labelled: Mapping[str, bool], layout: Layout, place: str
) -> tuple[dict[SplitName, str], tuple[str, ...]]:
    """Return the role of each split found, and notes; without `test`, a test set is to be held out of `train`.

    `is_labelled` has the names of all splits found. Labelled train, test and validation splits keep their roles; of the
    latter two, a single one is the test set.

    Raises:
        DataError: there is no training split, or one that was named is missing or has no labels.
    """
    if layout.splits:
        return _as_named(is_labelled, layout, place), ()
    notes: list[str] = []
    found: dict[SplitName, str] = {}
    for role, words in ROLES.items():
        names = sorted(
            (name for name in is_labelled if name.casefold() in words),
            key=lambda name: (words.index(name.casefold()), name != name.casefold(), name),
        )
        for name in names:
            if not is_labelled[name]:
                notes.append(f"{name!r} has no labels and is left out")
            elif role in found:
                notes.append(f"{name!r} is left out, as {found[role]!r} is used; --splits chooses another")
            else:
                found[role] = name
    if not found and tuple(is_labelled) == (WHOLE,):
        return {"train": WHOLE}, ()
    if not found:
        raise DataError(f"{place}: no training split; a part named train, or one named by --splits train=NAME")
    if "train" not in found:
        if len(found) > 1:
            raise DataError(
                f"{place}: no training split, only {', '.join(found.values())}; "
                f"one named train, or --splits train={found['val']},test={found['test']}"
            )
        found = {"train": next(iter(found.values()))}
    if "test" not in found and "val" in found:
        found["test"] = found.pop("val")
        notes.append(
            f"{found['test']!r} serves as the test set, and validation images are held out of the training set"
        )
    return found, tuple(notes)


def _as_named(is_labelled: Mapping[str, bool], layout: Layout, place: str) -> dict[SplitName, str]:
    for role, name in layout.splits:
        if name not in is_labelled:
            there = ", ".join(sorted(is_labelled)) or "none"
            raise DataError(f"--splits: {role}={name} is not in {place}; there are {there}")
        if not is_labelled[name]:
            raise DataError(f"--splits: {role}={name} in {place} has no labels; a split with labels")
    return dict(layout.splits)


class LabelledReader(Reader, Protocol):
    """A reader that yields its labels without reading an image."""

    def labels(self, split: SplitName) -> Iterable[int]:
        """Return the label of every example in the order of the layout."""


@dataclass(frozen=True)
class HeldOutReader:
    """Holds a test set out of a layout with a single split: a fifth of each class, always the same."""

    whole: LabelledReader

    splits = TRAIN_AND_TEST

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names of the whole."""
        return self.whole.class_names

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the whole, and a note on the images held out."""
        return (
            *self.whole.notes,
            f"no test split: one image in {TEST_SHARE} of each class is held out by a fixed seed as the test set",
        )

    def stamp(self) -> str:
        """Return a stamp that changes when a file of the whole may have changed."""
        return f"held out of {type(self.whole).__name__}\n{self.whole.stamp()}"

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield the examples of a split. Raises DataError where a class has one image only."""
        wanted = split == "test"
        held_out = self._held_out()
        for place, example in enumerate(self.whole.examples("train")):
            if (place in held_out) == wanted:
                yield example

    def _held_out(self) -> set[int]:
        """The positions of the test images in the layout."""
        import numpy as np

        places: dict[int, list[int]] = {}
        for place, label in enumerate(self.whole.labels("train")):
            places.setdefault(label, []).append(place)
        out: set[int] = set()
        for label, of_class in places.items():
            if len(of_class) < 2:
                name = self.whole.class_names[label] if self.whole.class_names else label
                raise DataError(f"class {name!r}: 1 image is not allowed where a test set is held out; 2 or more")
            order = np.argsort(np.random.PCG64([0, max(label, 0)]).random_raw(len(of_class)), kind="stable")
            out |= {of_class[i] for i in order[: max(round(len(of_class) / TEST_SHARE), 1)].tolist()}
        return out
