"""The setup of a run, as facts for `provenance.json` and one line for tables and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ablations.design.matching import size
from ablations.design.study import Design
from xception.base import formatting as f
from xception.base.canonical import Config, difference, hints_of
from xception.base.fields import format_value
from xception.data.config import AugmentConfig
from xception.data.source import Source
from xception.network.config import XceptionConfig

__all__ = ["changed_fields", "setup_facts", "setup_sentence"]


def setup_facts(
    design: Design, source: Source, *, preset: str, num_seeds: int, scale: str, overrides: Sequence[str], threads: int
) -> dict[str, Any]:
    """Return what is trained: the baseline's network, recipe and data. The device is known from the records."""
    recipe, data = design.recipe, design.dataset
    model = design.model
    train_size = data.train_size or source.num_train - data.val_size
    return {
        "network": PurePath(preset).stem if preset.endswith(".json") else preset,
        "params": size(model, "params", data.image_size) if isinstance(model, XceptionConfig) else None,
        "epochs": recipe.epochs,
        "train_size": train_size,
        "val_size": data.val_size,
        "test_size": data.test_size or source.num_test,
        "image_size": data.image_size,
        "native_image_size": source.native_size,
        "batch_size": recipe.batch_size,
        "optimizer": type(recipe.optimizer).__name__,
        "learning_rate": recipe.optimizer.learning_rate,
        "momentum": getattr(recipe.optimizer, "momentum", None),
        "weight_decay": recipe.optimizer.weight_decay,
        "schedule": format_value(recipe.schedule),
        "augmentation": _augmentation(recipe.augment),
        "averaging": recipe.ema_decay,
        "label_smoothing": recipe.label_smoothing,
        "gradient_clip": recipe.gradient_clip,
        "precision": recipe.precision,
        "threads": threads,
        "seeds": num_seeds,
        "scale": scale,
        "overrides": " ".join(overrides),
    }


def setup_sentence(setup: Mapping[str, Any]) -> str:
    """Return the setup in one line; empty if the store has none."""
    if not setup:
        return ""
    s = setup
    scale = f"scale {s['scale']}" + (f" with {s['overrides']}" if s["overrides"] else "")
    params = f" ({f.count(s['params'])} parameters)" if s.get("params") else ""
    resized = s["native_image_size"] != s["image_size"]
    how = f", brought from {s['native_image_size']}×{s['native_image_size']}" if resized else ""
    parts = [
        f"{s['network']}{params}",
        f"{f.plural(s['epochs'], 'epoch')} of {s['train_size']:,} training images"
        f" ({s['val_size']:,} for validation, {s['test_size']:,} for testing)"
        f" at {s['image_size']}×{s['image_size']}{how}",
        f"batch {s['batch_size']}",
        f"{s['optimizer']} at rate {s['learning_rate']:g}"
        + (f", momentum {s['momentum']:g}" if s.get("momentum") is not None else ""),
        f"schedule {s['schedule']}",
        f"weight decay {s['weight_decay']:g}",
        f"augmentation: {s['augmentation']}",
        f"average of weights {s['averaging']:g}" if s["averaging"] else "no average of weights",
    ]
    if s.get("label_smoothing"):
        parts.append(f"label smoothing {s['label_smoothing']:g}")
    if s.get("gradient_clip") is not None:
        parts.append(f"gradients clipped at {s['gradient_clip']:g}")
    where = f" on {s['device']}" if s.get("device") else ""
    parts += [f"{s['precision']}{where}, {f.plural(s['threads'], 'thread')}", f.plural(s["seeds"], "seed")]
    return f"Setup ({scale}): {'; '.join(parts)}."


def changed_fields(base: Design, design: Design) -> list[tuple[str, str, str]]:
    """Return the fields in which a design differs from another: path, the other's value and its own."""
    out = []
    for path, (before, after) in difference(base, design).items():
        if path.startswith("pretraining"):
            continue
        if isinstance(before, Config) and isinstance(after, Config) and type(before) is not type(after):
            out.append((path, _whole(before), _whole(after)))
        else:
            out.append((path, format_value(before), format_value(after)))
    return out


def _whole(config: Config) -> str:
    """A config with its scalar fields, as one of several kinds: together they define the choice."""
    own = {name: getattr(config, name) for name in hints_of(type(config))}
    inner = ", ".join(f"{name} {format_value(v)}" for name, v in own.items() if not isinstance(v, Config))
    return f"{type(config).tag} ({inner})" if inner else type(config).tag


def _augmentation(augment: AugmentConfig) -> str:
    words = [
        "flip" if augment.flip else "",
        f"crop after padding by {augment.crop_padding}" if augment.crop_padding else "",
        f"cutout {augment.cutout}" if augment.cutout else "",
        f"RandAugment {augment.randaugment_operations}×{augment.randaugment_magnitude}"
        if augment.randaugment_operations
        else "",
        f"mixup {augment.mixup_alpha:g}" if augment.mixup_alpha else "",
        f"CutMix {augment.cutmix_alpha:g}" if augment.cutmix_alpha else "",
    ]
    return ", ".join(word for word in words if word) or "none"
