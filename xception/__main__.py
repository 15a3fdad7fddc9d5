"""`python -m xception COMMAND`: what a network is and what it costs."""

from __future__ import annotations

import importlib
import sys

from xception.base.command_line import refuse

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
        "xception.commands.latency",
        "roofline",
        "the share of the machine's attainable rate that networks reach",
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


def main(args: list[str]) -> int:
    """Run the command that the arguments begin with; return the exit status."""
    if not args:
        refuse(PROG, f"a command is needed: {', '.join(COMMANDS)}; --help says more")
    name, rest = args[0], args[1:]
    if name in ("-h", "--help"):
        print(
            f"usage: {PROG} COMMAND ...\n\n"
            + "\n".join(f"  {command:10}{what}" for command, (_, _, what) in COMMANDS.items())
        )
        print(f"\n{PROG} COMMAND --help lists the options of a command.")
        return 0
    if name not in COMMANDS:
        refuse(PROG, f"{name!r} is not a command; allowed: {', '.join(COMMANDS)}")
    module, function, _ = COMMANDS[name]
    status: int = getattr(importlib.import_module(module), function)(rest)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
