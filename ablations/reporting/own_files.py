"""A folder of results in which our own files are written and replaced, and whatever else is there stays.

`provenance.json` lists them under `files`. A file that is not listed is not ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from xception.base.files import lock_folder

__all__ = [
    "MANIFEST",
    "own_files",
    "remove_own_files",
    "replacing_own_files",
    "require_own_folder",
    "require_own_page",
]

MANIFEST = "provenance.json"
# Files that every run writes; the whole list is known when they are written.
_NAMES = (
    "table.csv",
    "table.md",
    "table.tex",
    "runs.csv",
    "curves.csv",
    "classes.csv",
    "confusion.csv",
    "agreement.csv",
    "examples.csv",
    "calibration.csv",
    "pareto.csv",
    "report.html",
    "figures/strip.png",
)
# One of these is in the head of every page of ours; the second is that of earlier versions.
_PAGE_MARKS = (
    b'<meta name="generator" content="xception-ablations">',
    b"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-",
)
_HEAD_BYTES = 4096


@contextlib.contextmanager
def replacing_own_files(folder: Path) -> Iterator[Path]:
    """Give an empty scratch folder, whose files take their places in `folder` when the block ends.

    One of them has to be `provenance.json`, an object. Files of an earlier writing that are not among the new ones are
    removed. Writers of the same folder wait for each other.

    Raises:
        ValueError: a file or folder that is not ours is in the way; nothing was replaced.
        OSError: the folder cannot be written.
    """
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield scratch
        folder.mkdir(exist_ok=True)
        with lock_folder(folder):
            _publish(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def require_own_folder(folder: Path) -> None:
    """Check that results can be written into a folder, before anything is trained.

    Raises:
        ValueError: it is a file, or has a file that is not ours where one of ours would be.
    """
    _require_own(folder, _NAMES)


def require_own_page(path: Path) -> None:
    """Check that a page beside the folders of runs, which is in no list, can be written.

    Raises:
        ValueError: a folder, or a file that is not ours, is there.
        OSError: what is there cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"--out: {path} is a folder where a file is to be written; move it away")
    if not os.path.lexists(path):
        return
    head = b""
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    if not any(mark in head for mark in _PAGE_MARKS):
        raise ValueError(f"--out: {path} is not ours; give another folder, or move it away")


def own_files(folder: Path) -> list[str]:
    """Return the names of our files in a folder; none where nothing there is ours."""
    return [name for name in _own(folder) or [] if (folder / name).is_file()]


def remove_own_files(folder: Path) -> None:
    """Remove our files from a folder, and the folders that this leaves empty; whatever else is there stays."""
    with lock_folder(folder):
        names = own_files(folder)
        for name in [*(n for n in names if n != MANIFEST), MANIFEST]:
            (folder / name).unlink(missing_ok=True)
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _require_own(folder: Path, names: Sequence[str]) -> None:
    """Check that files of these names can be written into a folder.

    Raises:
        ValueError: one is there and is not ours, or the folder is none.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file; give another folder, or move it away")
    if not folder.is_dir():
        return
    own = _own(folder)
    if own is None and (folder / MANIFEST).exists():
        raise ValueError(f"--out: {folder / MANIFEST} is not ours; give another folder, or move it away")
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            raise ValueError(f"--out: {path} is a folder where a file is to be written; move it away")
        if own is None and path.exists():
            raise ValueError(f"--out: {path} is not ours; give another folder, or move it away")
        for parent in PurePosixPath(name).parents:
            if (folder / parent).exists() and not (folder / parent).is_dir():
                raise ValueError(f"--out: {folder / parent} is a file where a folder is to be written; move it away")


def _publish(scratch: Path, folder: Path) -> None:
    new = sorted(path.relative_to(scratch).as_posix() for path in scratch.rglob("*") if path.is_file())
    _require_own(folder, new)
    old = [name for name in _own(folder) or [] if name not in new]
    manifest: dict[str, Any] = json.loads((scratch / MANIFEST).read_text(encoding="utf-8"))
    # Both lists first, and the new one last: whenever this process is killed, all of our files are listed.
    _list(manifest, [*new, *old], scratch, folder)
    for name in new:
        if name != MANIFEST:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(scratch / name, folder / name)
    for name in old:
        with contextlib.suppress(OSError):  # it is gone, or a folder has its name
            (folder / name).unlink()
        for parent in (folder / name).parents:
            if parent == folder:
                break
            with contextlib.suppress(OSError):  # something is left in it
                parent.rmdir()
    _list(manifest, new, scratch, folder)


def _own(folder: Path) -> list[str] | None:
    """The names of our files in a folder; None where nothing there is ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or "command" not in manifest:
        return None
    listed = manifest.get("files", [])
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    return [name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts]


def _list(manifest: dict[str, Any], files: list[str], scratch: Path, folder: Path) -> None:
    """Write the manifest with these files; whole in the scratch folder first, so that a kill leaves no part of it."""
    text = json.dumps(manifest | {"files": files}, indent=1, ensure_ascii=False) + "\n"
    (scratch / MANIFEST).write_text(text, encoding="utf-8")
    os.replace(scratch / MANIFEST, folder / MANIFEST)
