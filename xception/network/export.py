"""Networks as ONNX files, checked against the original network; needs the extra `export`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["to_onnx"]


def to_onnx(
    model: nn.Module,
    path: str | Path,
    *,
    in_channels: int,
    input_size: int,
    tolerance: float = 1e-4,
    metadata: Mapping[str, Any] | None = None,
) -> float:
    """Write a network in eval mode to an ONNX file that takes any number of images of one size, and return the relative
    error.

    The input is `images` (N, in_channels, input_size, input_size), the output `logits` (N, num_classes). The file is
    run with onnxruntime on two images and its largest difference from the network, over the largest logit, is returned.
    `metadata` is written into the file's properties, each value as JSON.

    Raises:
        ValueError: a package of the extra is not installed, or the file's logits differ by more than `tolerance`.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # what torch's exporter writes with
    except ImportError as error:
        raise ValueError(f"to_onnx: {error.name} is not installed; it comes with the extra 'export'") from None
    training = model.training
    device = next(model.parameters()).device
    images = torch.rand(2, in_channels, input_size, input_size, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        model.eval()
        with torch.no_grad(), warnings.catch_warnings():
            # torch 2.11 calls a function that it has deprecated itself.
            warnings.filterwarnings(
                "ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated", category=FutureWarning
            )
            expected = model(images).cpu()
            torch.onnx.export(
                model,
                (images,),
                path,
                input_names=["images"],
                output_names=["logits"],
                dynamo=True,
                verbose=False,
                dynamic_shapes=({0: torch.export.Dim("num_images")},),
                external_data=False,
            )
    finally:
        model.train(training)
    if metadata:
        import onnx

        file = onnx.load(path)
        onnx.helper.set_model_props(file, {k: json.dumps(v, ensure_ascii=False) for k, v in metadata.items()})
        onnx.save(file, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = torch.from_numpy(session.run(["logits"], {"images": images.cpu().numpy()})[0])
    error_of_file = float((logits - expected).abs().max() / expected.abs().max())
    if not error_of_file <= tolerance:
        raise ValueError(
            f"to_onnx: the file's logits differ by {error_of_file:.2g} of the largest; at most {tolerance:g} is allowed"
        )
    return error_of_file
