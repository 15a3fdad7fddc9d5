"""Some classes of a data set as a data set of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xception.base.errors import DataError
from xception.data.source import Example, Reader, Source, SplitName, examine

__all__ = ["ClassReader", "parse_classes", "select_classes"]


@dataclass(frozen=True)
class ClassReader:
    """Reads the examples of some classes, renumbered from 0 in the order given."""

    whole: Reader
    classes: tuple[int, ...]
    class_names: tuple[str, ...]

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The splits of the whole data set."""
        return self.whole.splits

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the whole data set."""
        return self.whole.notes

    def stamp(self) -> str:
        """Return the classes and a stamp that changes when a file of the whole data set may have changed."""
        return f"{type(self.whole).__name__} {self.classes}\n{self.whole.stamp()}"

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every example of the classes, in the order of the whole."""
        numbers = {label: number for number, label in enumerate(self.classes)}
        for example in self.whole.examples(split):
            if example.label in numbers:
                yield example._replace(label=numbers[example.label])


def parse_classes(text: str, num_classes: int) -> range:
    """Return the classes that a text names: `3` the first three, `2-4` the third to the fifth, counted from 0.

    Raises:
        DataError: the text is neither, or names fewer than two classes or unknown ones.
    """
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise DataError(f"--classes: {text!r} is not allowed; a number such as 3, or a range such as 2-4")
    chosen = range(int(first), int(last) + 1) if dash else range(int(first))
    if len(chosen) < 2 or chosen[-1] >= num_classes:
        raise DataError(f"--classes: {text!r} is not allowed; 2 to {num_classes} classes, numbered from 0")
    return chosen


def select_classes(source: Source, classes: Sequence[int]) -> Source:
    """Return some classes of a data set as a source of its own; all classes give the data set itself.

    Raises:
        DataError: no image of these classes is in one of the splits, or a file cannot be read.
    """
    if list(classes) == list(range(source.num_classes)):
        return source
    names = tuple(source.class_names[label] for label in classes)
    reader = ClassReader(source.reader, tuple(classes), names)
    facts = examine(reader)
    return replace(
        source,
        title=f"{source.title}, classes {classes[0]} to {classes[-1]}",
        fingerprint=facts.fingerprint,
        num_train=facts.num_train,
        num_test=facts.num_test,
        num_val=facts.num_val,
        class_names=names,
        native_size=facts.native_size,
        reader=reader,
        generated=False,
        summary=None,
    )
