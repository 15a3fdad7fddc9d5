"""Made-up frames of records for tests of tables, figures and reports: the normal case and the odd ones."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

LONG = [
    "baseline_with_all_residual_connections", "no_residual_connections_in_the_middle_flow",
    "separable_convolution_without_intermediate_activation",
    "group_normalization_with_32_groups@params", "pre_activation_order_norm_relu_conv", "exponential_linear_unit_intermediate_activation",
    "squeeze_and_excitation_after_each_module", "kernel_size_5_in_the_entry_and_exit_flow@macs", "depthwise_multiplier_of_two_and_no_bias",
    "stochastic_depth_with_linear_decay_rate_0.2", "label_smoothing_0.1_and_mixup_0.2_together", "anti_aliased_downsampling_blur_pool_3x3",
]
HOSTILE = [
    "base & line_#1", "<script>alert('x')</script>", "50% of $x_1^2$ {a}~b\\c", "=HYPERLINK(\"http://x\",\"y\")",
    "\"><img src=x onerror=alert(1)>",
    "名前 ünï → δ", "{{ 7 * 7 }}{% raw %}",
]


def records(
    names: Sequence[str] = ("full", "none", "entry only", "middle only"), *, seeds: int = 5, effects: Sequence[float] | None = None,
    study: str = "residuals", dataset: str = "CIFAR-10 (JPEG)", scale: str = "quick", diverged: Sequence[tuple[str, int]] = (),
    failed: Sequence[tuple[str, int]] = (), missing: Sequence[tuple[str, int]] = (), epochs: int = 6, base: float = 0.84,
) -> pd.DataFrame:
    """Return a frame as `ablations.load` gives it: the first name is the baseline."""
    rng = np.random.default_rng(7)
    steps = effects if effects is not None else [0.0, *rng.normal(0, 0.02, len(names) - 1)]
    noise = rng.normal(0, 0.006, seeds)
    rows = []
    for number, (name, effect) in enumerate(zip(names, steps, strict=True)):
        for seed in range(seeds):
            pair = (name, seed)
            status = "diverged" if pair in diverged else "failed" if pair in failed else "missing" if pair in missing else "complete"
            accuracy = float(np.clip(base + effect + noise[seed] + rng.normal(0, 0.004), 0, 1))
            done = status == "complete"
            rows.append({
                "study": study, "variant": name, "is_baseline": number == 0, "seed": seed, "stream": 0,
                "key": f"{study}-{number}-{seed}".encode().hex().ljust(64, "0"), "status": status,
                "val_accuracy": accuracy - 0.005 if done else np.nan, "test_accuracy": accuracy if done else np.nan,
                "test_top5_accuracy": 1 - (1 - accuracy) / 8 if done else np.nan,
                "params": 125_000 + 9_000 * number if status != "missing" else np.nan,
                "macs": 12_300_000 + 2_100_000 * (number % 5) if status != "missing" else np.nan,
                "train_seconds": 148.0 + 3 * seed if status != "missing" else np.nan,
                "images_per_second": 400.0 if done else np.nan, "device": "cpu" if status != "missing" else None,
                "dataset": dataset, "scale": scale, "num_classes": 10, "margin": 0.005,
                "correct": np.packbits(rng.random(1000) < accuracy).tobytes() if done else None, "num_test": 1000,
                "curves": _curves(rng, accuracy, epochs, status), "model_json": json.dumps({"num_classes": 10, "width": number}),
                "recipe_json": json.dumps({"batch_size": 128, "epochs": epochs}),
                "reason": {"diverged": "the loss was nan in epoch 2", "failed": "MemoryError: cannot allocate 3.1 GiB"}.get(status),
            })
    return pd.DataFrame(rows)


def _curves(rng: np.random.Generator, accuracy: float, epochs: int, status: str) -> list[dict[str, float]]:
    stop = {"complete": epochs, "diverged": 2}.get(status, 0)
    return [
        {
            "epoch": e, "train_loss": 2.3 * np.exp(-e / 3) + 0.4, "val_loss": 2.3 * np.exp(-e / 3) + 0.5 + rng.normal(0, 0.02),
            "val_accuracy": float(accuracy * (1 - np.exp(-(e + 1) / 1.7)) + rng.normal(0, 0.008)),
        }
        for e in range(stop)
    ]


def cases() -> dict[str, pd.DataFrame]:
    """Return every case the figures, tables and pages must survive, by name."""
    many = [f"variant_{i:03d}" for i in range(200)]
    return {
        "normal": records(effects=[0, -0.09, 0.001, 0.012]),
        "one_variant": records(["alone"]),
        "all_diverged": records(["full", "none"], diverged=[(n, s) for n in ("full", "none") for s in range(5)]),
        "variant_diverged": records(effects=[0, -0.09, 0.001, 0.012], diverged=[("none", s) for s in range(5)]),
        "one_seed": records(seeds=1),
        "half_finished": records(
            effects=[0, -0.09, 0.001, 0.012], diverged=[("none", 1)], failed=[("entry only", 2)],
            missing=[("middle only", s) for s in range(1, 5)] + [("entry only", 4)],
        ),
        "all_missing": records(["full", "none"], missing=[(n, s) for n in ("full", "none") for s in range(5)]),
        "hostile": records(HOSTILE, effects=[0, 0.03, -0.02, 0.001, 0.015, -0.05, 0.0], dataset="Synthetic <b>shapes</b> & 50%"),
        "twelve_long": records(LONG, seeds=3),
        "two_hundred": records(many, seeds=3),
    }


def comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the contract's columns, by plain t intervals: what figures and pages need, not what they mean."""
    from scipy import stats

    done = frame[frame.status == "complete"]
    base_name = frame.loc[frame.is_baseline, "variant"].iloc[0]
    base = done[done.variant == base_name].set_index("seed").test_accuracy
    rows = []
    for name, group in frame.groupby("variant", sort=False):
        own = done[done.variant == name].set_index("seed").test_accuracy
        differences = (own - base).dropna()
        margin = float(group.margin.iloc[0])
        mean, low, high = _interval(own, 0.95, stats)
        delta, delta_low, delta_high = (np.nan,) * 3 if name == base_name else _interval(differences, 0.99, stats)
        verdict = (
            "baseline" if name == base_name else "inconclusive" if not np.isfinite(delta_low)
            else "no meaningful effect" if -margin < delta_low and delta_high < margin
            else "helps" if delta_low > 0 else "hurts" if delta_high < 0 else "inconclusive"
        )
        rows.append({
            "variant": name, "n": len(own) if name == base_name else len(differences),
            "test_accuracy_mean": mean, "test_accuracy_ci_low": low,
            "test_accuracy_ci_high": high, "delta_mean": delta, "delta_ci_low": delta_low, "delta_ci_high": delta_high,
            "p_adjusted": 0.004 if np.isfinite(delta_low) else np.nan, "verdict": verdict, "delta_margin": margin,
            "at_least_margin": bool(delta_low > margin or delta_high < -margin),
            "more_seeds": 7 if verdict == "inconclusive" else np.nan,
            "params": group.params.iloc[0], "macs": group.macs.iloc[0], "fvcore_total": group.macs.iloc[0] * 1.01,
            "latency_ms": np.nan if name == base_name else 1.5 + len(rows) % 7, "latency_device": "cpu",
            "train_seconds": group.train_seconds.mean(),
            "num_diverged": int((group.status == "diverged").sum()), "num_failed": int((group.status == "failed").sum()),
            "dataset": group.dataset.iloc[0], "scale": group.scale.iloc[0],
        })
    return pd.DataFrame(rows)


def _interval(values: pd.Series, level: float, stats: object) -> tuple[float, float, float]:
    if len(values) == 0:
        return (np.nan,) * 3
    mean = float(values.mean())
    if len(values) == 1:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return mean, mean - half, mean + half
