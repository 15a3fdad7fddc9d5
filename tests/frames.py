"""Synthetic frames of records for tests of tables, figures and reports: the normal case and edge cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xception.train.confidence import pack_confidence
from xception.train.predictions import pack_predictions

if TYPE_CHECKING:
    from ablations.reporting.figures import StudyFigure

LONG = [
    "baseline_with_all_residual_connections",
    "no_residual_connections_in_the_middle_flow",
    "separable_convolution_without_intermediate_activation",
    "group_normalization_with_32_groups@params",
    "pre_activation_order_norm_relu_conv",
    "exponential_linear_unit_intermediate_activation",
    "squeeze_and_excitation_after_each_module",
    "kernel_size_5_in_the_entry_and_exit_flow@macs",
    "depthwise_multiplier_of_two_and_no_bias",
    "stochastic_depth_with_linear_decay_rate_0.2",
    "label_smoothing_0.1_and_mixup_0.2_together",
    "anti_aliased_downsampling_blur_pool_3x3",
]
HOSTILE = [
    "base & line_#1",
    "<script>alert('x')</script>",
    "50% of $x_1^2$ {a}~b\\c",
    '=HYPERLINK("http://x","y")',
    '"><img src=x onerror=alert(1)>',
    "名前 ünï → δ",
    "{{ 7 * 7 }}{% raw %}",
]


def records(
    names: Sequence[str] = ("full", "none", "entry only", "middle only"),
    *,
    seeds: int = 5,
    effects: Sequence[float] | None = None,
    study: str = "residuals",
    dataset: str = "CIFAR-10 (JPEG)",
    scale: str = "quick",
    diverged: Sequence[tuple[str, int]] = (),
    failed: Sequence[tuple[str, int]] = (),
    missing: Sequence[tuple[str, int]] = (),
    epochs: int = 6,
    base: float = 0.84,
) -> pd.DataFrame:
    """Return a frame as from `ablations.load`: the first name is the baseline."""
    rng = np.random.default_rng(7)
    steps = effects if effects is not None else [0.0, *rng.normal(0, 0.02, len(names) - 1)]
    noise = rng.normal(0, 0.006, seeds)
    rows = []
    for number, (name, effect) in enumerate(zip(names, steps, strict=True)):
        for seed in range(seeds):
            pair = (name, seed)
            status = (
                "diverged"
                if pair in diverged
                else "failed"
                if pair in failed
                else "missing"
                if pair in missing
                else "complete"
            )
            accuracy = float(np.clip(base + effect + noise[seed] + rng.normal(0, 0.004), 0, 1))
            done = status == "complete"
            correct = rng.random(1000) < accuracy if done else None
            rows.append(
                {
                    "study": study,
                    "variant": name,
                    "is_baseline": number == 0,
                    "seed": seed,
                    "stream": 0,
                    "key": f"{study}-{number}-{seed}".encode().hex().ljust(64, "0"),
                    "status": status,
                    "val_accuracy": accuracy - 0.005 if done else np.nan,
                    "test_accuracy": accuracy if done else np.nan,
                    "test_top5_accuracy": 1 - (1 - accuracy) / 8 if done else np.nan,
                    "params": 125_000 + 9_000 * number if status != "missing" else np.nan,
                    "macs": 12_300_000 + 2_100_000 * (number % 5) if status != "missing" else np.nan,
                    "train_seconds": 148.0 + 3 * seed if status != "missing" else np.nan,
                    "images_per_second": 400.0 if done else np.nan,
                    "device": "cpu" if status != "missing" else None,
                    "dataset": dataset,
                    "scale": scale,
                    "num_classes": 10,
                    "margin": 0.005,
                    "correct": None if correct is None else np.packbits(correct).tobytes(),
                    "predictions": None if correct is None else _predictions(correct),
                    "confidence": None if correct is None else _confidence(correct),
                    "num_test": 1000,
                    "curves": _curves(rng, accuracy, epochs, status),
                    "model_json": json.dumps({"num_classes": 10, "width": number}),
                    "recipe_json": json.dumps({"batch_size": 128, "epochs": epochs}),
                    "reason": {
                        "diverged": "the training loss is not finite in epoch 2",
                        "failed": "MemoryError: cannot allocate 3.1 GiB",
                    }.get(status),
                }
            )
    return pd.DataFrame(rows)


def _predictions(correct: NDArray[np.bool_]) -> bytes:
    """Predictions of ten classes; a wrong one is the next class or the one after it."""
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 10, len(correct))
    return pack_predictions(np.where(correct, labels, (labels + rng.integers(1, 3, len(correct))) % 10), labels, 10)


def _confidence(correct: NDArray[np.bool_]) -> bytes:
    """Confidences of a network that is too confident."""
    rng = np.random.default_rng(13)
    return pack_confidence(np.clip(0.5 + 0.5 * rng.random(len(correct)) ** 0.4 - 0.1 * ~correct, 0, 1), correct)


def _curves(rng: np.random.Generator, accuracy: float, epochs: int, status: str) -> list[dict[str, float]]:
    stop = {"complete": epochs, "diverged": 2}.get(status, 0)
    return [
        {
            "epoch": e + 1,
            "train_loss": 2.3 * np.exp(-e / 3) + 0.4,
            "val_loss": 2.3 * np.exp(-e / 3) + 0.5 + rng.normal(0, 0.02),
            "val_accuracy": float(accuracy * (1 - np.exp(-(e + 1) / 1.7)) + rng.normal(0, 0.008)),
        }
        for e in range(stop)
    ]


def cases() -> dict[str, pd.DataFrame]:
    """Return every case that figures, tables and pages must handle, by name."""
    many = [f"variant_{i:03d}" for i in range(200)]
    return {
        "normal": records(effects=[0, -0.09, 0.001, 0.012]),
        "one_variant": records(["alone"]),
        "all_diverged": records(["full", "none"], diverged=[(n, s) for n in ("full", "none") for s in range(5)]),
        "variant_diverged": records(effects=[0, -0.09, 0.001, 0.012], diverged=[("none", s) for s in range(5)]),
        "one_seed": records(seeds=1),
        "half_finished": records(
            effects=[0, -0.09, 0.001, 0.012],
            diverged=[("none", 1)],
            failed=[("entry only", 2)],
            missing=[("middle only", s) for s in range(1, 5)] + [("entry only", 4)],
        ),
        "all_missing": records(["full", "none"], missing=[(n, s) for n in ("full", "none") for s in range(5)]),
        "hostile": records(
            HOSTILE, effects=[0, 0.03, -0.02, 0.001, 0.015, -0.05, 0.0], dataset="Synthetic <b>shapes</b> & 50%"
        ),
        "twelve_long": records(LONG, seeds=3),
        "two_baselines": two_baselines(),
        "two_hundred": records(many, seeds=3),
    }


def comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the statistics of a frame with synthetic latencies for all but the baseline."""
    from ablations.analysis.comparison import compare

    table = compare(frame)
    position = np.arange(len(table))
    return table.assign(
        latency_ms=np.where(position > 0, 1.5 + position % 7, np.nan),
        latency_device="cpu",
        fvcore_total=table["macs"] + 1000,
    )


def factorial(seeds: int = 4) -> pd.DataFrame:
    """Return a full factorial of two factors with an interaction."""
    depths, norms = ("0 modules", "4 modules", "8 modules"), ("batch", "group of 8", "none")
    pairs = [(d, n) for d in depths for n in norms]
    effects = [0.01 * depths.index(d) - 0.015 * norms.index(n) * depths.index(d) for d, n in pairs]
    frame = records([f"{d}, {n}" for d, n in pairs], effects=effects, seeds=seeds, study="interactions")
    levels = {f"{d}, {n}": {"depth of the middle flow": d, "normalisation": n} for d, n in pairs}
    return frame.assign(levels=frame["variant"].map(levels.__getitem__))


def searched(trials: int = 60) -> pd.DataFrame:
    """Return the trials of a search over two spaces, three of them not complete."""
    rng = np.random.default_rng(3)
    macs = 10 ** rng.uniform(6, 8, trials)
    accuracy = 0.5 + 0.05 * np.log10(macs) + rng.normal(0, 0.02, trials)
    status = np.where(np.isin(np.arange(trials), (5, 17, 30)), "failed", "complete")
    return pd.DataFrame(
        {
            "space": np.where(np.arange(trials) % 2 == 0, "free_widths", "scaled_widths"),
            "status": status,
            "macs": macs,
            "val_accuracy": np.where(status == "complete", accuracy, np.nan),
        }
    )


def two_baselines() -> pd.DataFrame:
    """Return a study in which each of two sizes has its own baseline."""
    names = ["small, with", "small, without", "large, with", "large, without", "large, half"]
    frame = records(names, effects=[0, -0.05, 0.04, 0.03, 0.05], study="residuals_by_depth")
    frame["is_baseline"] = frame["variant"].str.endswith(", with")
    return frame.assign(reference=frame["variant"].str.split(",").str[0] + ", with")


def few_figures(frame: pd.DataFrame, comparison: pd.DataFrame) -> list[StudyFigure]:
    """Return one figure of a study, if it has a result: enough for tests of pages with figures."""
    from ablations.reporting.accuracy_plots import strip_plot
    from ablations.reporting.figures import StudyFigure

    if not frame["status"].isin(["complete", "diverged"]).any():
        return []
    return [StudyFigure(name="accuracy", alt="Test accuracy of every seed.", figure=strip_plot(frame, comparison))]
