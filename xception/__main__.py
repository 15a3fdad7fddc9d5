"""`python -m xception COMMAND`: what a network is and what it costs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from xception.base.command_line import choose_command

PROG = "python -m xception"

# Each command is a function of the arguments after its name that returns the exit status: module, function, what it
# does.
COMMANDS = {
    "describe": (
        "xception.commands.describe",
        "describe",
        "shapes, operators, parameters and MACs of a network, stage by stage",
    ),
    "latency": (
        "xception.commands.latency",
        "latency",
        "how long networks take, by one protocol, with the interval of the median",
    ),
    "roofline": (
        "xception.commands.roofline",
        "roofline",
        "the share of the machine's attainable rate that networks reach",
    ),
    "operators": (
        "xception.commands.operators",
        "operators",
        "the share of a training step that each operator takes",
    ),
    "predict": (
        "xception.commands.predict",
        "predict",
        "the class of photographs, by a network that was trained here",
    ),
    "evaluate": (
        "xception.commands.evaluate",
        "evaluate",
        "a trained network on the test images of a data set",
    ),
    "export": (
        "xception.commands.export",
        "export",
        "a trained network as safetensors, ONNX or torch.export file",
    ),
    "data": (
        "xception.commands.data",
        "data",
        "what a data set is like, and a contact sheet of augmented images",
    ),
    "synthetic": (
        "xception.commands.synthetic",
        "synthetic",
        "a linear model and a small network trained on the embedded data set",
    ),
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command that the arguments begin with; return the exit status."""
    words = list(sys.argv[1:] if args is None else args)
    name = choose_command(words, {command: what for command, (_, _, what) in COMMANDS.items()}, prog=PROG)
    module, function, _ = COMMANDS[name]
    status: int = getattr(importlib.import_module(module), function)(words[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
