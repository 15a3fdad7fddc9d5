"""What share of a step's time each operator takes, by PyTorch's profiler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch.autograd.profiler import profile

from xception.base.canonical import Config
from xception.base.formatting import text_table

__all__ = ["OperatorShare", "operator_shares", "shares_table"]


class OperatorShare(Config):
    """An operator's own time, without that of the operators it calls: milliseconds a step, and the share of a step."""

    operator: str
    calls: float  # a step
    self_ms: float
    share: float


def operator_shares(step: Callable[[], object], *, num_steps: int, warm_up: int = 2) -> list[OperatorShare]:
    """Call a step that many times, and return the shares of its operators on the CPU, the largest first.

    Convolutions are classified by their weights: depthwise, pointwise and regular. The profiler itself takes some
    microseconds a call, so that small operators look larger than they are.
    """
    for _ in range(warm_up):
        step()
    with profile(use_kineto=False, record_shapes=True) as recorded:
        for _ in range(num_steps):
            step()
    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in recorded.key_averages(group_by_input_shape=True):
        name = _title(event.key, event.input_shapes)
        seconds[name] += event.self_cpu_time_total / 1e6
        calls[name] += event.count
    total = sum(seconds.values())
    return [
        OperatorShare(operator=name, calls=calls[name] / num_steps, self_ms=1e3 * own / num_steps, share=own / total)
        for name, own in seconds.most_common()
    ]


def shares_table(shares: Sequence[OperatorShare], *, least: float = 0.005) -> str:
    """Return a table of the operators with at least such a share; the others are one row."""
    shown = [row for row in shares if row.share >= least]
    rest = [row for row in shares if row.share < least]
    body = [[row.operator, f"{row.calls:g}", f"{row.self_ms:.2f}", f"{100 * row.share:.1f}"] for row in shown]
    if rest:
        own, share = sum(row.self_ms for row in rest), sum(row.share for row in rest)
        body.append([f"{len(rest)} others", "", f"{own:.2f}", f"{100 * share:.1f}"])
    return text_table(("operator", "calls", "ms a step", "% of a step"), body, left=1)


def _title(name: str, shapes: Sequence[Any]) -> str:
    name = name.removeprefix("aten::")
    if "conv" not in name:
        return name
    # A convolution has one four-dimensional input that is its weight, the last; its gradient comes before the input.
    maps = [shape for shape in shapes if len(shape) == 4]
    if len(maps) < 2:
        return name
    image, weight = maps[-2], maps[-1]
    if weight[1] == 1 and image[1] > 1:
        return f"{name}, depthwise"
    return f"{name}, pointwise" if tuple(weight[2:]) == (1, 1) else f"{name}, regular"
