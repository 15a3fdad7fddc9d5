"""The command `python -m xception operators`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from xception.base.command_line import parse, refuse
from xception.commands.measured import environment_line, notice
from xception.profile.subjects import read_subjects, words
from xception.profile.training_step import PRECISIONS, training_step

__all__ = ["operators"]

PROG = "python -m xception operators"


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
        precision = words("--precision", asked.precision, PRECISIONS)[0]
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
    from xception.profile.environment import cpu_capability, read_environment
    from xception.profile.operator_shares import operator_shares, shares_table

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
