"""Names that become folders, cells of tables and rows of a database: checked before anything is trained."""

from __future__ import annotations

import re

__all__ = ["RESERVED", "check_folder_name", "check_variant_name"]

# The entries of an output folder other than the folders of runs.
RESERVED = frozenset(
    {
        "records.db",
        "records.db-journal",
        "records.db-shm",
        "records.db-wal",
        "replay",
        "report.html",
        "searches",
        "speed.json",
        "tensorboard",
        "wandb",
        "trials",
        "weights",
    }
)
_FOLDER_NAME = re.compile(r"[^\W_][\w@+,=.-]*")
_MOST_BYTES, _MOST_CHARACTERS = 120, 200


def check_folder_name(name: str, option: str) -> None:
    """Check that a name can be that of a folder below `--out`, on any file system.

    Raises:
        ValueError: it cannot; the message begins with the option.
    """
    shown = f"{name[:60]!r}{'…' if len(name) > 60 else ''}"
    if name.lower() in RESERVED:
        raise ValueError(f"{option}: {shown} is not allowed; any name but {', '.join(sorted(RESERVED))}")
    # `.NAME.random` must fit as well, and no name may end in a dot.
    if not _FOLDER_NAME.fullmatch(name) or name.endswith(".") or len(name.encode(errors="replace")) > _MOST_BYTES:
        raise ValueError(
            f"{option}: {shown} is not allowed; a letter or digit, then letters, digits and _ - . @ + = , up to"
            f" {_MOST_BYTES} bytes"
        )


def check_variant_name(name: str, option: str) -> None:
    """Check that a name can be that of a variant: one line that a terminal, a table and a database can hold.

    Raises:
        ValueError: it cannot; the message begins with the option.
    """
    if not name or name != name.strip() or not name.isprintable() or len(name) > _MOST_CHARACTERS:
        shown = f"{name[:60]!r}{'…' if len(name) > 60 else ''}"
        raise ValueError(
            f"{option}: {shown} is not allowed; 1 to {_MOST_CHARACTERS} printable characters, no space at either end"
        )
