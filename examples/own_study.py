"""A study of one's own, for `python run_ablation.py --study examples/own_study.py`."""

import ablations
from ablations import Study, Variant

STUDY = Study(
    name="hidden_layer",
    question="Is a hidden layer before the classifier worth its parameters?",
    variants=(
        Variant(name="none"),
        Variant(name="64 units", changes={"model.head.hidden": (64,)}),
        Variant(name="256 units", changes={"model.head.hidden": (256,)}),
    ),
    baseline="none",
    varies=("model.head.hidden",),
)

if __name__ == "__main__":  # the same as a library, in a script or a notebook
    results = ablations.run(STUDY, scale="smoke", dataset="synthetic")
    print(results.comparison[["variant", "delta_mean", "verdict"]])
