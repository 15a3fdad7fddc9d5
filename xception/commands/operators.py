"""The command `python -m xception operators`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from xception.base.command_line import parse, refuse
from xception.commands.measured import aligned, environment_line, notice
from xception.profile.subjects import Subject, read_subjects, words

if TYPE_CHECKING:
    from torch import nn

    from xception.profile.operator_shares import OperatorShare

__all__ = ["Precision", "cpu_capability", "operators", "shares_table", "training_step"]

PROG = "python -m xception operators"
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class OperatorsArguments:
    """What can be asked of `operators`."""

    preset: str | None = None
    """Network: a preset, torchvision:NAME or timm:NAME."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE changes a field of the network, such as model.head.dropout=0.2. May be repeated."""
    input_size: int | None = None
    """Side of the images in pixels. Default: the preset's."""
    batch_size: int = 128
    """Images in a step."""
    precision: str = "float32"
    """float32 or bfloat16."""
    threads: int = 1
    """Threads inside an operator."""
    steps: int = 5
    """Steps that are recorded."""
    json: bool = False
    """Print one JSON document."""


def operators(args: Sequence[str] | None = None) -> int:
    """Measure and print the operators' shares of training steps on the CPU; return the exit status."""
    asked = parse(
        OperatorsArguments, args, prog=PROG, description="The share of a training step that each operator takes."
    )
    try:
        precision: Precision = words("--precision", asked.precision, PRECISIONS)[0]
        for flag, number in (
            ("--batch-size", asked.batch_size),
            ("--threads", asked.threads),
            ("--steps", asked.steps),
        ):
            if number < 1:
                raise ValueError(f"{flag}: {number} is not allowed; 1 or more")
        subjects = read_subjects(asked.preset, None, asked.input_size, set=asked.set)
        if len(subjects) != 1:
            raise ValueError(f"--preset: {len(subjects)} networks are not allowed; name one")
    except ValueError as error:
        refuse(PROG, error)
    from xception.train.process import prepare_process

    prepare_process(asked.threads)
    from xception.profile.environment import read_environment
    from xception.profile.operator_shares import operator_shares

    environment = read_environment("cpu")
    notice(f"recording {asked.steps} steps of {subjects[0].name}")
    found = operator_shares(training_step(subjects[0], asked.batch_size, precision), num_steps=asked.steps)
    if asked.json:
        document = {
            "operators": [dataclasses.asdict(row) for row in found],
            "cpu_capability": cpu_capability(),
            "environment": dataclasses.asdict(environment),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"{subjects[0].name}, batch {asked.batch_size}, {precision}, CPU capability {cpu_capability()}")
    print(shares_table(found))
    print(environment_line(environment))
    return 0


def training_step(
    subject: Subject,
    batch_size: int,
    precision: Precision,
    *,
    change: Callable[[nn.Module], object] = lambda network: None,
) -> Callable[[], object]:
    """Return a step of the trainer on a network, SGD with momentum, on one batch of noise; `change` may replace layers
    of the network first.
    """
    import torch

    from xception.network.model import build
    from xception.train.optimiser import build_optimiser
    from xception.train.recipe import SGD, Recipe
    from xception.train.step import Step

    torch.manual_seed(0)
    network: nn.Module = build(subject.config).to(memory_format=torch.channels_last).train()
    change(network)
    sgd = SGD(learning_rate=0.01, momentum=0.9)
    recipe = Recipe(epochs=1, batch_size=batch_size, optimizer=sgd, precision=precision)
    step = Step(build_optimiser(network, recipe), recipe, None, torch.device("cpu"))
    images = torch.randn(batch_size, *subject.input_shape).contiguous(memory_format=torch.channels_last)
    target = torch.zeros(batch_size, dtype=torch.int64)
    return lambda: step(network, images, target)


def cpu_capability() -> str:
    """Return the vector instructions that PyTorch uses here, such as AVX2 or AVX512."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def shares_table(shares: Sequence[OperatorShare], *, least: float = 0.005) -> str:
    """Return a table of the operators with at least such a share; the others are one row."""
    shown = [row for row in shares if row.share >= least]
    rest = [row for row in shares if row.share < least]
    body = [[row.operator, f"{row.calls:g}", f"{row.self_ms:.2f}", f"{100 * row.share:.1f}"] for row in shown]
    if rest:
        own, share = sum(row.self_ms for row in rest), sum(row.share for row in rest)
        body.append([f"{len(rest)} others", "", f"{own:.2f}", f"{100 * share:.1f}"])
    return aligned(("operator", "calls", "ms a step", "% of a step"), body, left=1)
