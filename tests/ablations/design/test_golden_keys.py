"""Ten keys that must never change: a changed one means that every stored record of its kind would be trained again."""

from __future__ import annotations

import json

from ablations.design.study import Design
from ablations.design.trial import SEMANTICS, Trial, read_trial
from tests.command import ROOT
from xception.data.config import AugmentConfig, DatasetConfig
from xception.network import presets
from xception.network.config import TimmConfig, XceptionConfig
from xception.train.recipe import SGD, AdamW, Constant, Cosine, Exponential, Recipe, RMSprop

GOLDEN = ROOT / "tests" / "golden" / "trial_keys.json"
DATA = DatasetConfig(fingerprint="ab" * 32, image_size=32, val_size=1000, train_size=10_000)


def trials() -> dict[str, Trial]:
    """Trials that between them use every part of a trial."""
    tiny = presets.get("cifar_tiny")
    assert isinstance(tiny, XceptionConfig)
    plain = Design(model=tiny, recipe=Recipe(epochs=6), dataset=DATA)
    return {
        "plain": plain.trial(0),
        "another seed": plain.trial(7),
        "another stream": plain.replace(stream=1).trial(0),
        "no residuals": plain.replace_at("model.residual.kind", "none").trial(0),
        "regular operator": plain.replace_at("model.operator.kind", "regular").trial(0),
        "paper": Design(
            model=presets.get("paper"),
            recipe=Recipe(
                epochs=100,
                optimizer=SGD(learning_rate=0.045, weight_decay=1e-5),
                schedule=Exponential(),
                ema_decay=0.9999,
            ),
            dataset=DATA.replace(image_size=299, train_size=None),
        ).trial(0),
        "torchvision": plain.replace(model=presets.get("torchvision:resnet18")).trial(0),
        "adam": plain.replace(
            recipe=Recipe(epochs=3, optimizer=AdamW(), schedule=Cosine(warmup_epochs=1), label_smoothing=0.1)
        ).trial(1),
        "rmsprop": plain.replace(
            recipe=Recipe(epochs=3, optimizer=RMSprop(), schedule=Constant(), precision="bfloat16")
        ).trial(1),
        "augmented": plain.replace_at(
            "recipe.augment", AugmentConfig(flip=True, crop_padding=4, cutout=8, mixup_alpha=0.2)
        ).trial(2),
    }


def test_keys_are_those_that_were_published() -> None:
    assert {name: trial.key for name, trial in trials().items()} == json.loads(GOLDEN.read_text())


def test_trials_survive_their_json() -> None:
    for trial in trials().values():
        assert read_trial(trial.to_json()) == trial


def test_semantics_is_in_every_key() -> None:
    for trial in trials().values():
        assert trial.semantics == SEMANTICS
        assert trial.replace(semantics=SEMANTICS + 1).key != trial.key
        assert '"semantics":' in trial.to_json()


def test_timms_version_and_the_networks_name_are_in_a_trials_key() -> None:
    model = TimmConfig(name="resnet18", version="1.0.20", num_classes=10)
    trial = Design(model=model, recipe=Recipe(epochs=6), dataset=DATA).trial(0)
    others = [
        trial.replace(model=model.replace(version="1.0.21")),
        trial.replace(model=model.replace(name="resnet34")),
        trial.replace(model=presets.get("torchvision:resnet18")),
    ]
    assert len({trial.key, *(other.key for other in others)}) == 4
    assert '"version":"1.0.20"' in trial.to_json()
    assert read_trial(trial.to_json()) == trial
