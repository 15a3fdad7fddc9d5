"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as their author distributes them and torchvision stores them: Python
pickles, read without executing one.

A pickle is a program that may call any function while it is loaded. Here it may only build dicts, lists, texts and
numbers; the numpy names in the files are replaced by inert records of the arguments, from which the pixels are read if
they are valid.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.download import Remote
from xception.data.source import TRAIN_AND_TEST, Example, SplitName, stamp_files

__all__ = ["CIFAR10", "CIFAR100", "CifarLayout", "CifarReader", "open_cifar", "read_pickle"]

SIDE = 32
ROW = 3 * SIDE * SIDE
MAX_BYTES = 512 * 1024 * 1024  # of one file; the largest that exists has 155 million


@dataclass(frozen=True, kw_only=True)
class CifarLayout:
    """The files and their MD5 as in torchvision; None: any content."""

    folder: str
    train: tuple[tuple[str, str | None], ...]
    test: tuple[tuple[str, str | None], ...]
    meta: tuple[str, str | None]
    label_key: str
    names_key: str
    remote: Remote


CIFAR10 = CifarLayout(
    folder="cifar-10-batches-py",
    train=(
        ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
        ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        ("data_batch_4", "634d18415352ddfa80567beed471001a"),
        ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    test=(("test_batch", "40351d587109b95175f43aff81a1287e"),),
    meta=("batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
    label_key="labels",
    names_key="label_names",
    remote=Remote(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        algorithm="sha256",
        checksum="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        max_bytes=170_498_071,
    ),
)
CIFAR100 = CifarLayout(
    folder="cifar-100-python",
    train=(("train", "16019d7e3df5f24257cddd939b257f8d"),),
    test=(("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
    meta=("meta", "7973b15100ade9c7d40fb424638fde48"),
    label_key="fine_labels",
    names_key="fine_label_names",
    remote=Remote(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        algorithm="sha256",
        checksum="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        max_bytes=169_001_437,
    ),
)


@dataclass(frozen=True)
class CifarReader:
    """Reads the batches in their numbers' order."""

    folder: Path
    layout: CifarLayout
    class_names: tuple[str, ...]

    splits = TRAIN_AND_TEST
    notes = ()

    def stamp(self) -> str:
        """Return a stamp that changes when a file may have changed."""
        return stamp_files(
            tuple(self.folder / name for name, _ in (*self.layout.train, *self.layout.test, self.layout.meta))
        )

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every image. Raises DataError where a file is damaged or of another layout."""
        import numpy as np

        for name, checksum in self.layout.train if split == "train" else self.layout.test:
            content = _checked(self.folder / name, checksum)
            pixels, labels = content.get("data"), content.get(self.layout.label_key)
            raw = pixels.content() if isinstance(pixels, _Array) else None
            if (
                raw is None
                or not isinstance(labels, list)
                or any(type(n) is not int for n in labels)
                or len(raw) != len(labels) * ROW
            ):
                raise DataError(
                    f"{str(self.folder / name)!r}: of another layout; 'data' with {ROW} bytes a row and "
                    f"{self.layout.label_key!r} with a number a row"
                )
            images = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
            for i, label in enumerate(labels):
                yield Example(images[i], label, f"{name}[{i}]")


def open_cifar(folder: Path, layout: CifarLayout) -> CifarReader:
    """Return the reader of a folder with all the files of a layout.

    Raises:
        DataError: a file is missing, or the names of the classes cannot be read.
    """
    for name, _ in (*layout.train, *layout.test, layout.meta):
        if not (folder / name).is_file():
            raise DataError(f"{str(folder)!r}: file {name!r} is missing; all files of {layout.remote.file_name}")
    name, checksum = layout.meta
    names = _checked(folder / name, checksum).get(layout.names_key)
    if not isinstance(names, list) or not names or any(not isinstance(n, str) for n in names):
        raise DataError(
            f"{str(folder / name)!r}: no list {layout.names_key!r} of class names; the file of"
            f" {layout.remote.file_name}"
        )
    return CifarReader(folder, layout, tuple(names))


def _checked(path: Path, checksum: str | None) -> dict[str, Any]:
    """The dict in a file that has the checksum, with its keys as text."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{str(path)!r}: more than {MAX_BYTES} bytes; refused")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({reason(error)})") from None
    if checksum is not None and (found := hashlib.md5(raw, usedforsecurity=False).hexdigest()) != checksum:
        raise DataError(f"{str(path)!r}: truncated or damaged (MD5 {found}); {checksum} is allowed")
    content = read_pickle(raw, str(path))
    if not isinstance(content, dict):
        raise DataError(f"{str(path)!r}: a pickle of {type(content).__name__}; a dict is allowed")
    return {key if isinstance(key, str) else str(key): value for key, value in content.items()}


def read_pickle(raw: bytes, name: str) -> Any:
    """Return the content of a pickle of plain values and uint8 arrays; arrays are inert records.

    Raises:
        DataError: it needs anything else, or is damaged.
    """
    try:
        for operation, argument, _ in pickletools.genops(raw):
            # An index into the memo allocates as many entries: a file of ten bytes could allocate gigabytes.
            if operation.name not in _OPERATIONS or (operation.name == "LONG_BINPUT" and int(argument or 0) > len(raw)):
                raise pickle.UnpicklingError(f"the pickle's operation {operation.name} is refused")
        return _Unpickler(io.BytesIO(raw), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{name!r}: {error}; a pickle of plain values and uint8 arrays") from None
    except (
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise DataError(f"{name!r}: a damaged pickle ({type(error).__name__}); the whole file") from None


@dataclass
class _Array:
    """A numpy array in a pickle, as it was written: arguments and state."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def content(self) -> bytes | None:
        """The bytes of a uint8 array in C order; None where it is anything else."""
        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            return None
        _, _, kind, is_fortran, raw = self.state
        if not isinstance(kind, _Kind) or kind.arguments[:1] not in (("u1",), ("|u1",)) or is_fortran:
            return None
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 wrote bytes as text
        return raw if isinstance(raw, bytes) else None


@dataclass
class _Kind:
    """A numpy dtype in a pickle."""

    arguments: tuple[Any, ...] = field(default=())

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment do not matter for single bytes."""


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("an encoding other than latin1 is refused")
    return text.encode("latin1")


class _Name:
    """Replaces a name that a pickle may use; it may be called where that makes sense, but not changed."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any] | None) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            raise pickle.UnpicklingError("a call of numpy.ndarray is refused")
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a change to a name is refused")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name(lambda *arguments: _Array(arguments)),
    ("numpy._core.multiarray", "_reconstruct"): _Name(lambda *arguments: _Array(arguments)),
    ("numpy", "ndarray"): _Name(None),
    ("numpy", "dtype"): _Name(lambda *arguments: _Kind(arguments)),
    ("_codecs", "encode"): _Name(_encode),
}
# The operations that build plain values, and the calls and states that make an array of them.
_OPERATIONS = frozenset(
    (
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
        "BINGET",
        "LONG_BINGET",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    )
)


class _Unpickler(pickle.Unpickler):
    """Resolves five names, none of which has an effect."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name. Raises UnpicklingError for any other."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"the pickle needs {module}.{name}, which is refused")
        return _NAMES[module, name]
