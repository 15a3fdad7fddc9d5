"""Our networks against the public Xceptions: the same weights, the same images, and the difference of the outputs.

    python -m benchmarks.conformance            # every network at three sizes, minutes on one core
    python -m benchmarks.conformance --short    # one size and the smaller networks, about a minute

Weights are random, not downloaded, and norm statistics are close to those of images, so that logits are of order 1 and
depend on the input; both networks compute in float64. `control` is the same error for a network of ours that lacks one
design choice of the public one: it shows that the comparison would detect it. The exit status is 1 where a relative
error is above 1e-9.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from benchmarks.peers import draw, images, relative_error, settle
from xception.base.command_line import parse
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.network.model import Xception
from xception.network.weights import convert

ALLOWED = 1e-9
SIZES, SHORT_SIZES = (33, 64, 97), (33,)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Our networks against the public Xceptions, in float64."""

    short: Annotated[bool, "One image size and the smaller networks."] = False
    json: Annotated[bool, "Print one JSON document."] = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network at one image size in pixels."""

    network: str
    size: int
    relative_error: float
    control: float
    largest_logit: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A public network, ours that equals it, and what is changed in ours as a negative control."""

    name: str
    theirs: Callable[[], nn.Module]
    config: XceptionConfig
    control: dict[str, Any]
    long: bool = False


def pairs() -> list[Pair]:
    """Return every network that is compared."""
    out = [
        _timm("legacy_xception", "timm_legacy", {"norm.epsilon": 1e-1}),
        _timm("xception41", "aligned41", {"exit.tail_intermediate_activation": None}),
        _timm("xception65", "aligned65", {"exit.tail_intermediate_activation": None}, long=True),
        _timm("xception71", "aligned71", {"exit.tail_intermediate_activation": None}, long=True),
        _timm("xception41p", "aligned41p", {"residual.tap": "input"}),
        _timm("xception65p", "aligned65p", {"residual.tap": "input"}, long=True),
    ]
    out.append(_timm("mobilenetv1_100", "mobilenetv1", {"norm.placement": "after_convolution"}))
    for stride in (16, 8):
        for name, preset in (("xception41", "aligned41"), ("xception65", "aligned65"), ("xception71", "aligned71")):
            long = stride == 8 or name != "xception41"
            out.append(_timm(name, preset, {"output_stride": None}, output_stride=stride, long=long))
    return out


def compare(pair: Pair, sizes: tuple[int, ...]) -> list[Row]:
    """Return a row for each image size."""
    theirs = pair.theirs()
    draw(theirs)
    settle(theirs, images(48))
    ours, control = (Xception(config).double() for config in (pair.config, _changed(pair.config, pair.control)))
    ours.load_state_dict(convert(theirs.state_dict(), ours), strict=False)
    control.load_state_dict(ours.state_dict(), strict=False)
    rows: list[Row] = []
    for size in sizes:
        x = images(size)
        expected, found, other = (_run(model, x) for model in (theirs, ours, control))
        rows.append(
            Row(
                network=pair.name,
                size=size,
                relative_error=relative_error(found, expected),
                control=relative_error(other, expected),
                largest_logit=float(expected.abs().max()),
            )
        )
    return rows


@torch.inference_mode()
def _run(model: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = model.double().eval()(x)
    return out


def _changed(config: XceptionConfig, changes: dict[str, Any]) -> XceptionConfig:
    for path, value in changes.items():
        config = config.replace_at(path, value)
    return config


def _timm(name: str, preset: str, control: dict[str, Any], *, output_stride: int = 32, long: bool = False) -> Pair:
    import timm

    config = presets.get(preset)
    assert isinstance(config, XceptionConfig)
    options: dict[str, Any] = {}
    title = f"timm {name}"
    if output_stride != 32:
        options, title = {"output_stride": output_stride}, f"{title}, output stride {output_stride}"
        config = config.replace(output_stride=output_stride)
    theirs = functools.partial(timm.create_model, name, pretrained=False, **options)
    return Pair(name=title, theirs=theirs, config=config, control=control, long=long)


def main() -> int:
    """Print the table; return 1 if a network differs from ours."""
    options = parse(Options, sys.argv[1:], prog="python -m benchmarks.conformance", description=__doc__ or "")
    chosen = [pair for pair in pairs() if not (options.short and pair.long)]
    width = max(len(pair.name) for pair in chosen)
    if not options.json:
        print(f"{'network':<{width}}  size  relative error  control", flush=True)
    rows: list[Row] = []
    for pair in chosen:
        for row in compare(pair, SHORT_SIZES if options.short else SIZES):
            rows.append(row)
            if not options.json:  # printed one by one: the largest networks take minutes
                errors = f"{row.relative_error:>14.1e}  {row.control:>7.1e}"
                print(f"{row.network:<{width}}  {row.size:>4}  {errors}", flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    return int(any(row.relative_error > ALLOWED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
