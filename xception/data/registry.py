"""The interface of a source of data sets, and the step from a reader to a data source."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xception.base.errors import DataError, printable
from xception.data.images import Pixels
from xception.data.layout import AS_FOUND, Layout
from xception.data.source import Reader, Source, examine

__all__ = ["DataSource", "Request", "as_source", "data_folder"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A data set's name, taken apart, and what the user said about it."""

    kind: str  # 'cifar10', 'folder'
    rest: str = ""  # what follows the colon
    data_dir: str | Path | None = None
    layout: Layout = AS_FOUND

    @property
    def name(self) -> str:
        """The name as given."""
        return f"{self.kind}:{self.rest}" if self.rest else self.kind


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The source of data sets with certain names: a module `*_source.py` in this folder exports one as `SOURCE`."""

    forms: tuple[str, ...]  # the names as help shows them: 'cifar10', 'folder:PATH'
    find: Callable[[Request], Source]

    def takes(self, kind: str, *, has_rest: bool) -> bool:
        """Return whether a name is of one of the forms."""
        return any(form.partition(":")[0] == kind and (":" in form) == has_rest for form in self.forms)


def as_source(
    reader: Reader, title: str, layout: Layout, *, name: str | None = None, mark_jpeg: bool = False
) -> Source:
    """Return the data set of a reader. `mark_jpeg`: the title notes images that were re-encoded as JPEG.

    Images with an orientation tag are rotated upright, and images with more than 8 bits a pixel are scaled by the bits
    in use; data sets without such images are unaffected.

    Raises:
        DataError: what `examine` refuses.
    """
    facts = examine(reader)
    title = printable(title)
    return Source(
        name=name or title,
        title=f"{title} (JPEG)" if mark_jpeg and facts.has_jpeg else title,
        fingerprint=facts.fingerprint,
        num_train=facts.num_train,
        num_test=facts.num_test,
        num_val=facts.num_val,
        class_names=facts.class_names,
        native_size=facts.native_size,
        reader=reader,
        pixels=Pixels(channels=layout.channels or 3, upright=facts.is_turned, deep_bits=facts.deep_bits),
    )


def data_folder(data_dir: str | Path | None) -> Path:
    """Return the folder in which data sets are looked up; `~` is the home folder.

    Raises:
        DataError: a folder was named and is not there. The default, ./data, may be created by the first download.
    """
    named = data_dir if data_dir is not None else os.environ.get("XCEPTION_DATA")
    if not named:
        return Path("data")
    folder = Path(os.path.expanduser(named))
    if not folder.is_dir():
        origin = "XCEPTION_DATA" if data_dir is None else "data_dir"
        raise DataError(f"{origin}: {str(named)!r} is not a folder; a folder that holds data sets")
    return folder
