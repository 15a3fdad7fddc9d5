"""What is each flow worth?

The paper divides the network into entry, middle and exit flow (Figure 5). Each is shortened and removed in turn; the
network without a flow is also widened to the whole network's parameters, since a flow may only contribute its size.

    python run_ablation.py --study flows

Ten variants. A network without its entry flow keeps the stem's resolution, at a corresponding cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ablations.design.study import Design, Match, Study, Variant

MATCHES: tuple[Match, ...] = ("none", "params")


def _shorter_entry(design: Design) -> Any:
    entry = _there(design, "entry")
    if len(entry.widths) < 2:
        raise ValueError("the entry flow has one module, so that none would be left")
    return entry.replace(widths=entry.widths[:-1], strides=entry.strides[:-1])


def _half_middle(design: Design) -> int:
    modules = int(design.at("model.middle.modules"))
    if modules < 2:
        raise ValueError(f"the middle flow has {modules} module{'s' * (modules != 1)}, which cannot be halved")
    return modules // 2


def _no_middle(design: Design) -> int:
    if design.at("model.middle.modules") == 0:
        raise ValueError("the network already has no middle flow")
    return 0


def _no_tail(design: Design) -> Any:
    exit = _there(design, "exit")
    if not exit.tail_widths:
        raise ValueError("the exit flow already has no tail")
    return exit.replace(tail_widths=(), tail_intermediate_activation=None)


def _removed(flow: str) -> Callable[[Design], None]:
    return lambda design: _there(design, flow) and None


def _there(design: Design, flow: str) -> Any:
    config = design.at(f"model.{flow}")
    if config is None:
        raise ValueError(f"the network already has no {flow} flow")
    return config


_SHORTENED: dict[str, dict[str, Any]] = {
    "shorter entry flow": {"model.entry": _shorter_entry},
    "half the middle flow": {"model.middle.modules": _half_middle},
    "exit flow without tail": {"model.exit": _no_tail},
}
_REMOVED: dict[str, dict[str, Any]] = {
    "no entry flow": {"model.entry": _removed("entry")},
    "no middle flow": {"model.middle.modules": _no_middle},
    "no exit flow": {"model.exit": _removed("exit")},
}

STUDY = Study(
    name="flows",
    question="What is each flow of the network worth?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5",
    variants=(
        Variant(name="whole network"),
        *(Variant(name=name, changes=changes) for name, changes in _SHORTENED.items()),
        *(Variant(name=name, changes=changes, match=match) for match in MATCHES for name, changes in _REMOVED.items()),
    ),
    baseline="whole network",
    varies=("model.entry", "model.middle.modules", "model.exit"),
)
