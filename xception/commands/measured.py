"""What the commands that measure share: arguments, tables of text, the environment, figures."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xception.profile.environment import Environment

__all__ = ["MeasureArguments", "check_figure", "environment_line", "notice", "save_figure"]


@dataclass(frozen=True, kw_only=True)
class MeasureArguments:
    """Networks, device and output."""

    preset: str | None = None
    """Networks to measure, separated by commas: presets, torchvision:NAME or timm:NAME."""
    config: Path | None = None
    """JSON file of a model config, measured together with the presets."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE changes a field of the networks, such as model.head.dropout=0.2. May be repeated."""
    input_size: int | None = None
    """Side of the images in pixels. Default: each preset's."""
    threads: int = 1
    """Threads inside an operator on a CPU."""
    json: bool = False
    """Print one JSON document."""


def environment_line(environment: Environment | None) -> str:
    """Return the environment of a measurement on one line."""
    if environment is None:
        return "nothing was measured"
    words = [f"{name} {value}" for name, value in dataclasses.asdict(environment).items() if value is not None]
    return "environment: " + ", ".join(words)


def check_figure(path: Path | None) -> None:
    """Check that a figure's name has a format that can be written.

    Raises:
        ValueError: it does not end in .png, .svg or .pdf.
    """
    if path is not None and path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--figure: {str(path)!r} is not allowed; a name that ends in .png, .svg or .pdf")


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure, and print where on standard error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200, bbox_inches="tight")
    notice(f"figure: {path}")


def notice(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)
