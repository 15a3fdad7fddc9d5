"""What is each flow worth?

The paper divides the network into entry, middle and exit flow (Figure 5). Each is shortened and removed in turn; what
is left of the network where one was removed is also widened to the whole network's parameters, since a flow may only be
worth its size.

    python run_ablation.py --study flows

Ten variants. A network without its entry flow keeps the stem's resolution, and costs accordingly.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Design, Match, Study, Variant

MATCHES: tuple[Match, ...] = ("none", "params")


def _shorter_entry(design: Design) -> Any:
    entry = design.at("model.entry")
    return entry.replace(widths=entry.widths[:-1], strides=entry.strides[:-1])


def _half_middle(design: Design) -> int:
    return int(design.at("model.middle.modules")) // 2


_SHORTENED: dict[str, dict[str, Any]] = {
    "shorter entry flow": {"model.entry": _shorter_entry},
    "half the middle flow": {"model.middle.modules": _half_middle},
    "exit flow without tail": {"model.exit.tail_widths": ()},
}
_REMOVED: dict[str, dict[str, Any]] = {
    "no entry flow": {"model.entry": None},
    "no middle flow": {"model.middle.modules": 0},
    "no exit flow": {"model.exit": None},
}

STUDY = Study(
    name="flows",
    question="What is each flow of the network worth?",
    source="Chollet 2017, arXiv:1610.02357, Figure 5",
    variants=(
        Variant(name="whole network"),
        *(Variant(name=name, changes=changes) for name, changes in _SHORTENED.items()),
        *(Variant(name=name, changes=changes, match=match) for match in MATCHES for name, changes in _REMOVED.items()),
    ),
    baseline="whole network",
    varies=("model.entry", "model.middle.modules", "model.exit"),
)
