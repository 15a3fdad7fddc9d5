"""The command `python -m xception evaluate`: a trained network on the test images of a data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xception.base.command_line import parse, refuse
from xception.commands.predict import KeptArguments, open_network

if TYPE_CHECKING:
    from xception.train.trained_network import TrainedNetwork

__all__ = ["evaluate", "evaluation"]

PROG = "python -m xception evaluate"
BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(KeptArguments):
    """What can be asked of `evaluate`."""

    dataset: str
    """Data set whose test images are used: cifar10, imagenette, folder:PATH, …"""
    data_dir: Path | None = None
    """Folder of the data sets. Default: $XCEPTION_DATA or ./data."""
    json: bool = False
    """Print one JSON document: accuracy, num_images, a list of classes, and the confusion matrix."""


def evaluate(args: Sequence[str] | None = None) -> int:
    """Print accuracy, accuracy per class and the most frequent confusions; return the exit status."""
    asked = parse(EvaluateArguments, args, prog=PROG, description="Test a trained network on a data set.")
    try:
        network = open_network(asked)
        result = evaluation(network, asked.dataset, asked.data_dir)
    except ValueError as error:
        refuse(PROG, error)
    if asked.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    print(f"{100 * result['accuracy']:.2f} % of {result['num_images']} test images of {result['dataset']}")
    width = max(len(row["class"]) for row in result["classes"])
    for row in result["classes"]:
        shown = "no test image" if row["accuracy"] is None else f"{100 * row['accuracy']:6.2f} % of {row['num_images']}"
        worst = f", most often confused with {row['confused_with']}" if row["confused_with"] else ""
        print(f"  {row['class']:{width}}  {shown}{worst}")
    print(f"The network was trained on {network.data}", file=sys.stderr)
    return 0


def evaluation(network: TrainedNetwork, dataset: str, data_dir: Path | None) -> dict[str, Any]:
    """Return the network's accuracy on a data set's test images, overall and per class, and the confusion matrix.

    `confusion` has one row per true class and one column per predicted class.

    Raises:
        ValueError: the data set is not there, or its classes are not those of the network.
    """
    import torch

    from xception.data import find, load
    from xception.data.layout import Layout

    channels: Literal[1, 3] = 1 if len(network.statistics.mean) == 1 else 3
    source = find(dataset, data_dir, Layout(channels=channels))
    names = tuple(source.class_names)
    if names != network.class_names:
        raise ValueError(
            f"--dataset: {source.title} has the classes {_listed(names)};"
            f" the network has {_listed(network.class_names)}"
        )
    images = load(source, network.image_size).test
    num = len(names)
    confusion = torch.zeros(num * num, dtype=torch.int64)
    for first in range(0, len(images), BATCH_SIZE):
        pixels, labels = images.batch(torch.arange(first, min(first + BATCH_SIZE, len(images))))
        confusion += torch.bincount(labels * num + network.probabilities(pixels).argmax(dim=1), minlength=num * num)
    matrix = confusion.view(num, num)
    classes = []
    for k, name in enumerate(names):
        total, right = int(matrix[k].sum()), int(matrix[k, k])
        wrong = matrix[k].clone()
        wrong[k] = 0
        classes.append(
            {
                "class": name,
                "num_images": total,
                "accuracy": right / total if total else None,
                "confused_with": names[int(wrong.argmax())] if int(wrong.sum()) else None,
            }
        )
    return {
        "dataset": source.title,
        "num_images": int(matrix.sum()),
        "accuracy": float(matrix.diagonal().sum() / matrix.sum()),
        "classes": classes,
        "confusion": matrix.tolist(),
    }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
