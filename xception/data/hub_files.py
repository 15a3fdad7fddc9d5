"""Which Parquet files of a folder belong to which configuration and split, by the hub's rules for names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.layout import role_of

__all__ = ["Configuration", "configurations"]

_PART = re.compile(r"^(?P<stem>.*?)-?(?P<number>\d{2,})-of-(?P<total>\d{2,})(?:-[0-9a-f]+)?$")
PLAIN_FOLDERS = frozenset(("data", "default"))  # folders that name no configuration


@dataclass(frozen=True)
class Configuration:
    """One data set of a folder: the files of each split, under their own split names."""

    name: str  # its folder, relative and without 'data'; empty: the folder itself
    files: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...]


def configurations(folder: Path, split_names: Collection[str] = ()) -> list[Configuration]:
    """Return the configurations in a folder, at any depth, in the order of their names.

    `split_names` are names of splits in addition to the usual ones.

    Raises:
        DataError: a folder cannot be read, or a part of a split is missing or duplicated.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    unnamed: dict[str, list[Path]] = {}
    for file in _parquet_files(folder):
        inner = file.relative_to(folder)
        split, parents = _split_of(inner, split_names)
        name = "/".join(part for part in parents if part.lower() not in PLAIN_FOLDERS)
        if split is None:
            unnamed.setdefault(name, []).append(file)
        else:
            found.setdefault(name, {}).setdefault(split, []).append(file)
    if not found:  # if no name contains a split, all files are one
        found = {name: {"train": files} for name, files in unnamed.items()}
        unnamed = {}
    left_out = [file for files in unnamed.values() for file in files]
    notes: tuple[str, ...] = ()
    if left_out:
        is_one = len(left_out) == 1
        notes = (
            f"{left_out[0].name}{'' if is_one else f' and {len(left_out) - 1} further Parquet files'}"
            f" {'names' if is_one else 'name'} no split and {'is' if is_one else 'are'} left out",
        )
    for splits in found.values():
        for files in splits.values():
            _require_all_parts(files)
    return [
        Configuration(name, {split: tuple(files) for split, files in splits.items()}, notes)
        for name, splits in sorted(found.items())
    ]


def _parquet_files(folder: Path) -> Iterator[Path]:
    """Every Parquet file, in the order of paths; hidden files and folders are skipped."""

    def fail(error: OSError) -> None:
        raise DataError(f"parquet:{error.filename}: cannot be read ({reason(error)}); folders that can")

    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        here = os.path.realpath(parent)
        folders[:] = [name for name in folders if not _leads_back(os.path.join(parent, name), here)]
        files += [Path(parent, name) for name in names if name.endswith(".parquet")]
    for file in sorted(files):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file


def _leads_back(folder: str, here: str) -> bool:
    """Whether a folder is a link to one above it."""
    return os.path.islink(folder) and (here + os.sep).startswith(os.path.realpath(folder) + os.sep)


def _split_of(path: Path, split_names: Collection[str]) -> tuple[str | None, tuple[str, ...]]:
    """The split that a file belongs to, and the folders that name its configuration.

    A name that the user gave comes first; then the first word of the file's name, its nearest folder that is a split's
    name, and a later word.
    """
    words = [word for word in re.split(r"[-_.\s]+", path.stem) if word]
    parents = path.parts[:-1]
    for name in split_names:
        if path.stem == name or path.stem.startswith((f"{name}-", f"{name}.")):
            return name, parents
        if name in parents:
            return name, tuple(part for part in parents if part != name)
    if words and role_of(words[0]):
        return words[0], parents
    for place in range(len(parents) - 1, -1, -1):
        word = re.split(r"[-_.]", parents[place])[0]
        if role_of(word):
            return word, (*parents[:place], *parents[place + 1 :])
    later = [word for word in words[1:] if role_of(word)]
    return (later[-1] if later else None), parents


def _require_all_parts(files: list[Path]) -> None:
    """Check that each of the files numbered `00000-of-00003` occurs exactly once."""
    groups: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        match = _PART.match(file.stem.split(".")[0])
        if match is not None:
            groups.setdefault((file.parent, match["stem"], int(match["total"])), set()).add(int(match["number"]))
    for (parent, stem, total), numbers in groups.items():
        missing = sorted(set(range(total)) - numbers) if total <= 100_000 else [total]
        if missing or len(numbers) > total:
            dash = f"{stem}-" if stem else ""
            raise DataError(
                f"{str(parent)!r}: {len(numbers)} of {total} parts of {stem or 'a split'!r} are there; "
                f"{dash}{missing[0] if missing else max(numbers):05}-of-{total:05}.parquet is missing"
            )
    by_stem: dict[tuple[Path, str], list[int]] = {}
    for parent, stem, total in groups:
        by_stem.setdefault((parent, stem), []).append(total)
    for (parent, stem), totals in by_stem.items():
        if len(totals) > 1:
            shown = " and ".join(f"-of-{total:05}" for total in sorted(totals))
            raise DataError(f"{str(parent)!r}: {stem!r} is there in parts {shown}; the parts of one version alone")
