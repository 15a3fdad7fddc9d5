"""The command `python -m xception export`: a trained network for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xception.base.command_line import parse, refuse
from xception.commands.predict import KeptArguments, open_network

if TYPE_CHECKING:
    from xception.train.trained_network import TrainedNetwork

__all__ = ["export", "export_network"]

PROG = "python -m xception export"
Format = Literal["safetensors", "onnx", "torch-export"]
SUFFIXES: dict[Format, str] = {"safetensors": ".safetensors", "onnx": ".onnx", "torch-export": ".pt2"}


@dataclass(frozen=True, kw_only=True)
class ExportArguments(KeptArguments):
    """What can be asked of `export`."""

    format: Format
    """safetensors: weights with config, classes and preprocessing in the header. onnx and torch-export: a graph that
    takes images (N, C, S, S) in 0 to 1, normalises them and returns logits."""
    to: Path
    """File to write."""


def export(args: Sequence[str] | None = None) -> int:
    """Write a trained network to a file; return the exit status."""
    asked = parse(ExportArguments, args, prog=PROG, description="Export a trained network.")
    try:
        network = open_network(asked)
        export_network(network, asked.format, asked.to)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        refuse(PROG, f"--to: {asked.to} cannot be written ({error.strerror})")
    print(f"{asked.to}: {asked.format}; input: {json.dumps(network.preprocessing())}", file=sys.stderr)
    return 0


def export_network(network: TrainedNetwork, format: Format, path: Path) -> None:
    """Write a trained network; the file also holds what the network expects of its input.

    Raises:
        ValueError: the suffix does not fit the format, a package is missing, or the file's outputs differ.
        OSError: the file cannot be written.
    """
    import torch

    from xception.network.export import to_onnx
    from xception.train.trained_network import Deployed, save_network

    if path.suffix != SUFFIXES[format]:
        raise ValueError(f"--to: {path.name!r} is not allowed; {format} files end in {SUFFIXES[format]}")
    if not path.parent.is_dir():
        raise ValueError(f"--to: the folder {path.parent} does not exist")
    if format == "safetensors":
        save_network(network, path)
        return
    described = {"class_names": list(network.class_names), "preprocessing": network.preprocessing()}
    deployed = Deployed(network).eval()
    channels, size = len(network.statistics.mean), network.image_size
    if format == "onnx":
        to_onnx(deployed, path, in_channels=channels, input_size=size, metadata=described)
        return
    images = torch.rand(2, channels, size, size)
    program = torch.export.export(deployed, (images,), dynamic_shapes=({0: torch.export.Dim("num_images")},))
    torch.export.save(program, path, extra_files={"xception.json": json.dumps(described, ensure_ascii=False)})
