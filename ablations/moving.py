"""What a trial needs on a machine that does not see the driver's files: decoded data, sent once per machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xception.data.errors import DataError
from xception.data.source import Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["MissingData", "data_files", "find_data"]


@dataclass(frozen=True)
class MissingData:
    """A machine has neither the decoded data of a trial nor the files to decode."""

    key: str
    reason: str


def find_data(source: Source, image_size: int, sent: Callable[[], dict[str, Any]] | None) -> str | None:
    """Make sure that this machine's cache has a data set: from its files, else from what is sent; return why it has not.

    `sent` fetches what `data_files` returned, where the driver has sent it.

    Raises:
        DataError: the cache cannot be written.
    """
    from xception.data.decoded import decoded, install

    try:
        decoded(source, image_size)
    except (DataError, OSError) as error:
        if sent is None:
            return " ".join(str(error).split())
        install(source, image_size, sent())
    return None


def data_files(source: Source, image_size: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the files of a decoded data set by name, mapped from this machine's cache.

    Raises:
        DataError: the data set cannot be decoded here either.
    """
    import numpy as np

    from xception.data.decoded import decoded

    folder, _ = decoded(source, image_size)
    return {path.name: np.asarray(np.memmap(path, mode="r", dtype=np.uint8)) for path in sorted(folder.iterdir()) if path.is_file()}
