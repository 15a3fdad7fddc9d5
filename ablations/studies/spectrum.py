"""How far should channels be separated?

The paper's hypothesis describes a spectrum (Figures 1 to 4): a 1×1 convolution followed by spatial convolutions over
segments of the channels, from one segment (a regular convolution) to one for each channel (the extreme, a depthwise
convolution). The number of segments must divide every width of the network, which 1, 2, 4 and 8 do at all scales. As in
the extreme form of the paper, there is nothing between the 1×1 and the spatial convolutions; an Inception module with
its norm and activation there is a variant of the study `operators`.

    python run_ablation.py --study spectrum

Five variants; more segments cost less, so use `--match params` or `--match macs` to compare at equal cost.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Study, Variant


def _segmented(segments: int) -> dict[str, Any]:
    return {"model.operator.kind": "segmented", "model.operator.segments": segments}


STUDY = Study(
    name="spectrum",
    question="How many segments of channels should have a spatial convolution of their own?",
    reference="Chollet 2017, arXiv:1610.02357, section 1.1, Figures 1 to 4",
    variants=(
        Variant(name="one per channel", changes={"model.operator.kind": "pointwise_depthwise"}),
        *(Variant(name=f"{n} segment{'s' if n > 1 else ''}", changes=_segmented(n)) for n in (8, 4, 2, 1)),
    ),
    baseline="one per channel",
    varies=("model.operator.kind", "model.operator.segments"),
)
