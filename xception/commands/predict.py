"""The command `python -m xception predict`: the class of photographs, by a network that was trained here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from xception.base.command_line import POSITIONAL, parse, refuse

if TYPE_CHECKING:
    from xception.train.trained_network import TrainedNetwork

__all__ = ["KeptArguments", "open_network", "predict", "predictions"]

PROG = "python -m xception predict"
BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class KeptArguments:
    """Which trained network; a study run with --keep-weights keeps them as <out>/networks/KEY.safetensors."""

    trial: str | None = None
    """Key of the trial that trained the network, or its beginning."""
    weights: Path | None = None
    """File of a trained network, instead of --trial."""
    out: Path = Path("results/local")
    """Folder of results in which the trial ran."""
    store: str | None = None
    """Database of the trial's record; if it is a file, networks are also looked for next to it."""


@dataclass(frozen=True, kw_only=True)
class PredictArguments(KeptArguments):
    """What can be asked of `predict`."""

    images: Annotated[tuple[Path, ...], POSITIONAL]
    """Image files, or folders of them."""
    json: bool = False
    """Print one JSON document: a list of rows with path, class and probability."""


def predict(args: Sequence[str] | None = None) -> int:
    """Print the most probable class of each image; return the exit status."""
    asked = parse(PredictArguments, args, prog=PROG, description="Predict the class of images with a trained network.")
    try:
        network = open_network(asked)
        rows = predictions(network, image_files(asked.images))
    except ValueError as error:
        refuse(PROG, error)
    if asked.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max(len(row["class"]) for row in rows)
    for row in rows:
        print(f"{100 * row['probability']:6.2f} %  {row['class']:{width}}  {row['path']}")
    print(f"{len(rows)} images; the network was trained on {network.data}", file=sys.stderr)
    return 0


def open_network(asked: KeptArguments) -> TrainedNetwork:
    """Return the network that the arguments name.

    Raises:
        ValueError: none or two are named, or the file is not there or cannot be read.
    """
    from xception.network.weights import find_network
    from xception.train.trained_network import load_network

    if (asked.trial is None) == (asked.weights is None):
        raise ValueError("--trial or --weights: one of the two is needed")
    if asked.weights is not None:
        return load_network(asked.weights)
    assert asked.trial is not None
    folders = [asked.out]
    database = (asked.store or "").removeprefix("sqlite:///")
    if asked.store is not None and database != asked.store:
        folders.append(Path(database).parent)
    return load_network(find_network(asked.trial, folders))


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Return the image files that are named, and those below the folders that are named, in alphabetical order.

    Raises:
        ValueError: a path does not exist, or there is no image.
    """
    from xception.data.folder import SUFFIXES

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            if not below:
                raise ValueError(f"IMAGE: {str(path)!r} holds no image file; allowed suffixes: {', '.join(SUFFIXES)}")
            found += below
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f"IMAGE: no file {str(path)!r}")
    if not found:
        raise ValueError("IMAGE: at least one image file or folder is needed")
    return found


def predictions(network: TrainedNetwork, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return `path`, `class`, `probability` and `probabilities` (of every class) for each image file.

    Raises:
        ValueError: a file cannot be read or is not an image; the message names it.
    """
    import numpy as np
    import torch

    rows: list[dict[str, Any]] = []
    for first in range(0, len(paths), BATCH_SIZE):
        part = paths[first : first + BATCH_SIZE]
        pixels = torch.from_numpy(np.stack([_pixels(path, network) for path in part]))
        for path, values in zip(part, network.probabilities(pixels).double(), strict=True):
            best = int(values.argmax())
            named = dict(zip(network.class_names, (round(float(v), 6) for v in values), strict=True))
            rows.append(
                {
                    "path": str(path),
                    "class": network.class_names[best],
                    "probability": float(values[best]),
                    "probabilities": named,
                }
            )
    return rows


def _pixels(path: Path, network: TrainedNetwork) -> Any:
    from xception.data.images import BrokenImageError, Pixels, decode

    # EXIF rotation is applied, so that photographs are upright.
    how = Pixels(channels=len(network.statistics.mean), upright=True)
    try:
        return decode(path.read_bytes(), network.image_size, how)
    except BrokenImageError as error:
        raise ValueError(f"IMAGE: {str(path)!r} cannot be decoded: {error}") from None
    except OSError as error:
        raise ValueError(f"IMAGE: {str(path)!r} cannot be read: {error.strerror}") from None
