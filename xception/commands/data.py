"""Show a summary of a data set before anything is trained on it.

    python -m xception data DATASET [--json] [--figure FILE]

The figure is a contact sheet: training images of each class as they were decoded, and next to each the same image
augmented, as it enters a network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from xception.base.canonical import from_plain
from xception.base.command_line import POSITIONAL, parse, refuse
from xception.base.drawing import load_matplotlib
from xception.base.errors import DataError
from xception.data.config import AugmentConfig
from xception.data.layout import Layout
from xception.data.names import find
from xception.data.source import Source
from xception.data.summary import prepare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet", "data"]

PROG = "python -m xception data"
MAX_CLASSES, IMAGES_PER_CLASS = 10, 4


@dataclass(frozen=True, kw_only=True)
class DataArguments:
    """What can be asked of `data`."""

    dataset: Annotated[str, POSITIONAL]
    """cifar10, cifar100, imagenette, synthetic, folder:PATH or parquet:PATH."""
    data_dir: Path | None = None
    """Folder of the data sets. Default: $XCEPTION_DATA or ./data."""
    splits: str | None = None
    """Folder or split of the data for each role: train=NAME,test=NAME,val=NAME. Default: by their names."""
    image_column: str | None = None
    """Column of images in Parquet files. Default: by the schema, else by name."""
    label_column: str | None = None
    """Column of classes in Parquet files. Default: by the schema, else by name."""
    channels: Literal[1, 3] | None = None
    """1 for grayscale. Default: 3, whatever the files hold."""
    image_size: int | None = None
    """Side in pixels that images are resized to. Default: that of the files."""
    figure: Path | None = None
    """Draw augmented training images to this file (.png, .svg or .pdf)."""
    augment: tuple[str, ...] = ("flip=true", "crop_padding=4")
    """NAME=VALUE of the augmentation in the figure, such as cutout=8. May be repeated. Default: flip and crop."""
    json: bool = False
    """Print one JSON document."""


def data(args: Sequence[str] | None = None) -> int:
    """Print the summary of a data set, and draw its images; return the exit status."""
    asked = parse(DataArguments, args, prog=PROG, description="Summary of a data set: classes, images, leakage.")
    try:
        if asked.figure is not None and asked.figure.suffix not in (".png", ".svg", ".pdf"):
            raise DataError(f"--figure: {str(asked.figure)!r} is not allowed; a file that ends in .png, .svg or .pdf")
        if asked.image_size is not None and not 1 <= asked.image_size <= 4096:
            raise DataError(f"--image-size: {asked.image_size} is not allowed; 1 to 4096 pixels")
        config = _augmentation(asked.augment)
        layout = Layout(
            splits=() if asked.splits is None else Layout.parse_splits(asked.splits),
            image_column=asked.image_column,
            label_column=asked.label_column,
            channels=asked.channels,
        )
        source = prepare(find(asked.dataset, asked.data_dir, layout), asked.image_size, show_progress=True)
        assert source.summary is not None
        if asked.figure is not None:
            config.check_size(source.summary.image_size)
            contact_sheet(source, config).savefig(asked.figure, dpi=200)
            print(f"Figure: {asked.figure}", file=sys.stderr)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        refuse(
            PROG, f"--figure: {str(asked.figure)!r} cannot be written ({error.strerror or error}); a folder that can"
        )
    if asked.json:
        print(json.dumps(source.summary.as_plain(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(source.summary.lines))
    return 0


def _augmentation(texts: Sequence[str]) -> AugmentConfig:
    """The config that texts such as `cutout=8` describe."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            values[name] = json.loads(value)
        except ValueError:
            equals = ""
        if not equals:
            raise DataError(f"--augment: {text!r} is not allowed; NAME=VALUE, such as flip=true or cutout=8")
    try:
        return from_plain(AugmentConfig, values)
    except ValueError as error:
        raise DataError(f"--augment: {error}") from None


def contact_sheet(source: Source, config: AugmentConfig) -> Figure:
    """Return a figure of training images of the first ten classes, decoded and, next to each, augmented.

    An augmented image goes through the same steps as in training, normalisation included; to display it, the
    normalisation is undone.
    """
    load_matplotlib()
    import matplotlib as mpl
    import torch
    from matplotlib.figure import Figure

    from xception.base.fonts import families, legible
    from xception.data.augment import augment
    from xception.data.dataset import load

    summary = source.summary
    assert summary is not None
    dataset = load(source, summary.image_size)
    labels = dataset.train.labels
    shown = range(min(source.num_classes, MAX_CLASSES))
    places = [(labels == label).nonzero()[:IMAGES_PER_CLASS, 0] for label in shown]
    images, chosen = dataset.train.batch(torch.cat(places))
    seen, _ = augment(
        images,
        chosen,
        config,
        torch.Generator().manual_seed(0),
        statistics=dataset.statistics,
        num_classes=source.num_classes,
    )
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (dataset.statistics.mean, dataset.statistics.std))
    seen = (seen * std + mean).clamp(0, 1)
    with mpl.rc_context({"font.family": list(families()), "font.size": 7, "svg.hashsalt": "data"}):
        figure = Figure(figsize=(1.1 + 0.72 * 2 * IMAGES_PER_CLASS, 0.55 + 0.74 * len(shown)))
        axes = figure.subplots(len(shown), 2 * IMAGES_PER_CLASS, squeeze=False)
        figure.subplots_adjust(
            left=0.16, right=0.995, bottom=0.01, top=1 - 0.45 / figure.get_figheight(), hspace=0.06, wspace=0.06
        )
        for axis in axes.flat:
            axis.set_axis_off()
        place = 0
        for row, of_class in enumerate(places):
            name = legible(source.class_names[row])[:18]
            axes[row][0].text(-0.1, 0.5, name, ha="right", va="center", transform=axes[row][0].transAxes)
            for column in range(len(of_class)):
                for offset, image in ((0, images[place] / 255), (1, seen[place])):
                    axis = axes[row][2 * column + offset]
                    axis.imshow(image.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                    if row == 0:
                        axis.set_title("augmented" if offset else "decoded", fontsize=6)
                place += 1
        title = (
            f"{summary.title}: {summary.channels} × {summary.image_size} × {summary.image_size}, as a network sees it"
        )
        figure.suptitle(legible(title), fontsize=8)
    return figure
