"""The command `python -m xception describe`: a network as a table of stages.

Totals are measured on the network (`xception.profile.complexity`); the stages of our networks come from the closed
form, which tests compare with it, and those of torchvision's from its layers.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xception.base.canonical import to_plain
from xception.base.command_line import parse, refuse
from xception.network.config import XceptionConfig
from xception.profile.subjects import Subject, read_subjects

if TYPE_CHECKING:
    from xception.profile.complexity import Complexity

__all__ = ["Stage", "describe", "stages"]

PROG = "python -m xception describe"


@dataclass(frozen=True, kw_only=True)
class DescribeArguments:
    """What can be asked of `describe`."""

    preset: str | None = None
    """The network: a preset, torchvision:NAME or timm:NAME."""
    config: Path | None = None
    """JSON file of a model config, instead of a preset."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE changes a field of the networks, such as model.head.dropout=0.2. May be repeated."""
    input_size: int | None = None
    """Side of the images in pixels. Default: the preset's."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True)
class Stage:
    """A part of a network under its usual name: its operator, shapes without the batch, parameters and MACs."""

    name: str
    operator: str
    shortcut: str
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    params: int
    macs: int


def describe(args: Sequence[str] | None = None) -> int:
    """Print a network's stages and totals; return the exit status."""
    asked = parse(
        DescribeArguments,
        args,
        prog=PROG,
        description="Shapes, operators, parameters and MACs of a network, stage by stage.",
    )
    try:
        subjects = read_subjects(asked.preset, asked.config, asked.input_size, set=asked.set)
        if len(subjects) > 1:
            raise ValueError(f"--preset: {', '.join(s.name for s in subjects)} is not allowed; one network at a time")
    except ValueError as error:
        refuse(PROG, error)
    subject = subjects[0]
    from xception.network.model import build
    from xception.profile.complexity import complexity

    counted = complexity(build(subject.config), subject.input_shape)
    rows = (
        stages(subject.config, subject.input_size)
        if isinstance(subject.config, XceptionConfig)
        else _torchvision_stages(counted)
    )
    if asked.json:
        document = {
            "name": subject.name,
            "input_size": subject.input_size,
            "params": counted.params,
            "macs": counted.macs,
            "fvcore_total": counted.fvcore_total,
            "activations": counted.activations,
            "stages": [asdict(row) for row in rows],
            "config": {"type": type(subject.config).tag, **to_plain(subject.config)},
        }
        print(json.dumps(document, indent=2))
    else:
        print(_text(subject, counted, rows))
    return 0


def stages(config: XceptionConfig, input_size: int) -> list[Stage]:
    """Return the stages of a network for square images of `input_size` pixels: stem, each module, tail, head.

    Raises:
        ValueError: the image is too small for the network, or not of the size that the head was made for.
    """
    from xception.network.closed_form import complexity

    shortcuts = {module.name: module.shortcut for module in config.modules()}
    out: list[Stage] = []
    for name, group in itertools.groupby(
        complexity(config, input_size).layers, key=lambda layer: _stage_name(layer.name)
    ):
        layers = list(group)
        operator = {"stem": config.stem.kind, "final": config.activation, "head": config.head.pool}.get(
            name, _operator(config)
        )
        out.append(
            Stage(
                name=name,
                operator=operator,
                shortcut=shortcuts.get(name, ""),
                in_shape=layers[0].in_shape,
                out_shape=layers[-1].out_shape,
                params=sum(layer.params for layer in layers),
                macs=sum(layer.macs for layer in layers),
            )
        )
    return out


def _stage_name(layer: str) -> str:
    """The stage of a layer by its dotted name."""
    flow, _, rest = layer.partition(".")
    return flow if flow in ("stem", "final", "head") else f"{flow}.{rest.partition('.')[0]}"


def _operator(config: XceptionConfig) -> str:
    operator, size = config.operator, config.operator.kernel_size
    extra = f" ×{operator.depth_multiplier}" if operator.depth_multiplier > 1 else ""
    extra += f" s={operator.segments}" if operator.kind == "segmented" else ""
    extra += f" d={operator.dilation}" if operator.dilation > 1 else ""
    extra += f" {operator.intermediate_activation}" if operator.intermediate_activation != "none" else ""
    return f"{operator.kind} {size}×{size}{extra}"


def _torchvision_stages(counted: Complexity) -> list[Stage]:
    """One stage for each child of the network."""
    out: list[Stage] = []
    for name, group in itertools.groupby(counted.layers, key=lambda layer: layer.name.partition(".")[0]):
        layers = list(group)
        kinds = ", ".join(dict.fromkeys(layer.kind for layer in layers if layer.macs))
        shapes = (tuple(layers[0].input_shape), tuple(layers[-1].output_shape))
        out.append(
            Stage(name, kinds, "", *shapes, sum(layer.params for layer in layers), sum(layer.macs for layer in layers))
        )
    return out


def _text(subject: Subject, counted: Complexity, rows: list[Stage]) -> str:
    """The table as text: equal stages on one line, totals below."""
    head = ("stage", "operator", "shortcut", "output", "params", "MACs")
    body = [
        (name, row.operator, row.shortcut, "×".join(str(n) for n in row.out_shape), f"{row.params:,}", f"{row.macs:,}")
        for name, row in _folded(rows)
    ]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]

    def line(cells: Iterable[str]) -> str:
        padded = (
            cell.rjust(w) if i > 2 else cell.ljust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    fvcore = "not measured" if counted.fvcore_total is None else f"{counted.fvcore_total:,}"
    shape = "×".join(str(n) for n in subject.input_shape)
    return "\n".join(
        (
            f"{subject.name} at {shape}",
            "",
            line(head),
            line("─" * w for w in widths),
            *(line(cells) for cells in body),
            "",
            f"params        {counted.params:,}",
            f"MACs          {counted.macs:,} (convolutions and linear layers; FLOPs are twice that)",
            f"fvcore total  {fvcore} (norms and pooling included)",
            f"activations   {counted.activations:,} (outputs of convolutions and linear layers)",
        )
    )


def _folded(rows: list[Stage]) -> list[tuple[str, Stage]]:
    """Consecutive equal stages as one line, with their names and the sum of their costs."""
    out: list[tuple[str, Stage]] = []
    for _, group in itertools.groupby(rows, key=lambda row: replace(row, name=row.name.partition(".")[0])):
        alike = list(group)
        first = alike[0]
        name = first.name if len(alike) == 1 else f"{first.name}–{alike[-1].name.rpartition('.')[2]}"
        out.append((name, replace(first, params=sum(r.params for r in alike), macs=sum(r.macs for r in alike))))
    return out
