"""Does a finer last map help to classify?

DeepLab's aligned Xceptions replace strides beyond an output stride of 16 or 8 by dilation, for segmentation (Chen et
al. 2018, arXiv:1802.02611, section 4). Here this is tested for classification: parameters are unchanged,
multiply-accumulates grow with the area of the maps. An output stride that the network does not exceed is left out;
networks for 32×32 images have 8 in all.

    python run_ablation.py --study output_stride

Up to five variants; halving the output stride up to quadruples the cost of the following layers.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="output_stride",
    question="Does dilation in the place of the last strides help to classify?",
    reference="Chen et al. 2018, arXiv:1802.02611, section 4, Table 5",
    variants=one_at_a_time(
        "model.output_stride",
        {"all strides": None, **{f"output stride {stride}": stride for stride in (16, 8, 4, 2)}},
    ),
    baseline="all strides",
    varies=("model.output_stride",),
)
