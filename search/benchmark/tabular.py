"""A space that was trained whole, as a table in which searches look results up, so that they take milliseconds.

Like NAS-Bench-101 and -201 for cells (Ying et al. 2019, arXiv:1902.09635; Dong and Yang 2020, arXiv:2001.00326):
every network of a finite space, trained with several seeds at one recipe.

    table = Table.read("table.parquet")
    table.query(config, seed=0).val_accuracy
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations.costs.latency_lookup import latencies_measured_together
from ablations.design.study import Design
from ablations.records.record import Record, chance_accuracy
from ablations.records.store import Store
from search.design.space import Space, Value
from search.engine.search_plan import base_network
from search.spaces import get_space
from xception.base.canonical import canonical_json, from_json
from xception.network.config import XceptionConfig

__all__ = ["HELD_OUT", "Measured", "Table"]

_META = "xception_table"
HELD_OUT = 20_000  # seeds from here on are hidden from replayed searches
_COLUMNS = (
    "model",
    "seed",
    "epochs",
    "status",
    "val_accuracy",
    "test_accuracy",
    "params",
    "macs",
    "latency_ms",
    "latency_device",
    "image_size",
    "train_seconds",
    "val_curve",
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The results of a network in the table, for one seed or as the mean over seeds; accuracies are fractions.

    `val_curve` has the validation accuracy after each epoch. A diverged training counts at chance accuracy.
    `latency_ms` is that of one measurement of all networks together, at `image_size` on `latency_device`.
    `train_seconds` are those of the fastest of the network's seeds, whichever seed is given: the arithmetic is the same
    for all, and the extra time of the others is due to other work of the machine.
    """

    val_accuracy: float
    test_accuracy: float
    train_seconds: float
    val_curve: tuple[float, ...]
    params: int
    macs: int
    latency_ms: float | None
    latency_device: str | None
    image_size: int
    num_seeds: int


class Table:
    """Records of a finite space: one row per network and seed.

    Raises:
        ValueError: a network of the space is missing, or the space has changed since.
    """

    def __init__(
        self, frame: pd.DataFrame, *, space: str, digest: str, design: Design, about: Mapping[str, Any]
    ) -> None:
        self.space: Space = get_space(space)
        if self.space.digest != digest:
            raise ValueError(
                f"table: the space {space} had another definition when it was trained; train it again with exhaust"
            )
        self.design, self.about, self.frame = design, dict(about), frame
        network = base_network(design)
        self.grid = list(self.space.grid())
        self._model_of = {_place(values): canonical_json(self.space.config(network, values)) for values in self.grid}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._rung_rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._longer_rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
        epochs = design.recipe.epochs
        for found in frame.sort_values(["model", "seed"]).to_dict("records"):
            row = {str(k): v for k, v in found.items()}
            length = int(row.get("epochs", epochs))
            if length == epochs:
                self._rows.setdefault(row["model"], []).append(row)
            else:
                other = self._rung_rows if length < epochs else self._longer_rows
                other.setdefault((row["model"], length), []).append(row)
        missing = [model for model in self._model_of.values() if model not in self._rows]
        if missing:
            lacking = f"{len(missing)} of {len(self._model_of)} networks of {space}"
            raise ValueError(f"table: {lacking} have no finished trial; continue with exhaust")

    def query(self, network: XceptionConfig, seed: int | None = None, epoch: int | None = None) -> Measured:
        """Return the results of a network with one seed, or their mean over seeds; after an epoch (from 1) if given.

        With an epoch, the validation accuracy and the time are those after it; there is no test accuracy then (NaN).

        Raises:
            ValueError: the network, seed or epoch is not in the table.
        """
        model = canonical_json(network)
        if model not in self._rows:
            raise ValueError(f"config: {model} is not in the table; networks of the space {self.space.name}")
        return self._measured(model, seed, epoch)

    def at(self, values: Mapping[str, Value], seed: int | None = None, epoch: int | None = None) -> Measured:
        """Return what was measured of the network at some values of the space's dimensions, as `query` does."""
        return self._measured(self._model_of[_place(values)], seed, epoch)

    def model_of(self, values: Mapping[str, Value]) -> str:
        """Return the canonical JSON of the network at some values."""
        return self._model_of[_place(values)]

    @property
    def name(self) -> str:
        """The name of the table: its space and its data."""
        return " ".join([self.space.name, *(str(self.about[n]) for n in ("dataset", "training") if n in self.about)])

    def trained(self, values: Mapping[str, Value], seed: int | None, epochs: int | None = None) -> Measured:
        """Return the result of a training of that many epochs, by default the whole one; if the table has none of that
        length, the whole one's validation accuracy after as many.
        """
        whole = self.at(values, seed)
        if epochs is None or epochs >= len(whole.val_curve):
            return whole
        own = [
            row
            for row in self._rung_rows.get((self.model_of(values), epochs), ())
            if seed is None or row["seed"] == seed
        ]
        if not own:
            return self.at(values, seed, epochs)
        return replace(
            whole,
            val_accuracy=_mean(own, "val_accuracy"),
            test_accuracy=_mean(own, "test_accuracy"),
            train_seconds=_quickest(own),
            num_seeds=len(own),
        )

    def seeds(self, values: Mapping[str, Value]) -> list[int]:
        """Return the seeds that the network at some values was trained with."""
        return [seed for seed in self.all_seeds(values) if seed < HELD_OUT]

    def all_seeds(self, values: Mapping[str, Value]) -> list[int]:
        """Return the seeds that the network at some values was trained with, including those hidden from replays."""
        return [int(row["seed"]) for row in self._rows[self._model_of[_place(values)]]]

    def means(self) -> pd.DataFrame:
        """Return one row per network: the values of its dimensions, and its results as the mean over seeds."""
        rows = []
        for values in self.grid:
            mean = vars(self.at(values)) | {"seeds": " ".join(map(str, self.seeds(values)))}
            rows.append({**values, **{name: mean[name] for name in mean if name not in ("val_curve", "num_seeds")}})
        return pd.DataFrame(rows)

    def _measured(self, model: str, seed: int | None, epoch: int | None) -> Measured:
        rows = [row for row in self._rows[model] if seed is None or row["seed"] == seed]
        if not rows:
            raise ValueError(
                f"seed: {seed} is not in the table; {', '.join(str(row['seed']) for row in self._rows[model])}"
            )
        longest = min(len(row["val_curve"]) for row in rows)
        if epoch is not None and not 1 <= epoch <= longest:
            raise ValueError(f"epoch: {epoch} is not in the table; 1 to {longest}")
        curve = np.mean([row["val_curve"][:longest] for row in rows], axis=0)
        share = 1.0 if epoch is None else epoch / longest
        latency, device = rows[0]["latency_ms"], rows[0].get("latency_device")
        return Measured(
            val_accuracy=_mean(rows, "val_accuracy") if epoch is None else float(curve[epoch - 1]),
            test_accuracy=_mean(rows, "test_accuracy") if epoch is None else math.nan,
            train_seconds=share * _quickest(self._rows[model]),
            val_curve=tuple(float(value) for value in curve[:epoch]),
            params=int(rows[0]["params"]),
            macs=int(rows[0]["macs"]),
            latency_ms=None if latency is None or math.isnan(latency) else float(latency),
            latency_device=device if isinstance(device, str) else None,
            image_size=self.design.dataset.image_size,
            num_seeds=len(rows),
        )

    def write(self, path: Path) -> None:
        """Write the table into one Parquet file.

        Raises:
            OSError: the file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        meta = {
            "space": self.space.name,
            "digest": self.space.digest,
            "design": canonical_json(self.design),
            "about": self.about,
        }
        columns = [name for name in _COLUMNS if name in self.frame]
        table = pa.Table.from_pandas(self.frame[columns], preserve_index=False)
        kept = {**(table.schema.metadata or {}), _META.encode(): json.dumps(meta).encode()}
        pq.write_table(table.replace_schema_metadata(kept), path)

    @classmethod
    def read(cls, path: str | Path) -> Table:
        """Return the table in a Parquet file.

        Raises:
            ValueError: the file does not exist, or holds no such table.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            meta = json.loads((table.schema.metadata or {})[_META.encode()])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            what = "does not exist" if isinstance(error, FileNotFoundError) else "holds no table of a space"
            raise ValueError(f"--table: {path} {what}; a Parquet file that exhaust wrote") from None
        design = from_json(Design, json.dumps(meta["design"]) if isinstance(meta["design"], dict) else meta["design"])
        return cls(table.to_pandas(), space=meta["space"], digest=meta["digest"], design=design, about=meta["about"])

    @classmethod
    def from_store(
        cls,
        store: Store,
        space: Space,
        design: Design,
        seeds: Iterable[int],
        about: Mapping[str, Any],
        more: Iterable[tuple[Design, int]] = (),
    ) -> Table:
        """Return the table of a space from a store, at one design (with whose network the space starts).

        `more` are further designs of its networks with their seeds: other lengths of training, and seeds of some.

        Raises:
            ValueError: a network of the space has no finished trial.
        """
        network = base_network(design)
        asked = [
            (design.replace(model=config), seed)
            for config in dict.fromkeys(space.config(network, values) for values in space.grid())
            for seed in seeds
        ]
        trials = {one.trial(seed).key: (one, seed) for one, seed in [*asked, *more]}
        records = store.get(trials)
        shape = (network.in_channels, design.dataset.image_size, design.dataset.image_size)
        networks = {canonical_json(one.model): (base_network(one), shape) for one, _ in trials.values()}
        latency = latencies_measured_together(store, networks)
        final = [record for _, record in sorted(records.items()) if record.is_final]
        rows = [_row(record, *trials[record.key], latency=latency) for record in final]
        return cls(
            pd.DataFrame(rows, columns=pd.Index(_COLUMNS)),
            space=space.name,
            digest=space.digest,
            design=design,
            about=about,
        )


def _row(record: Record, design: Design, seed: int, *, latency: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    chance, measured = chance_accuracy(record.num_classes or 1), latency.get(canonical_json(design.model), {})
    diverged = record.status == "diverged"
    curve = [
        chance if row["val_accuracy"] is None or math.isnan(row["val_accuracy"]) else row["val_accuracy"]
        for row in record.curves
    ]
    return {
        "model": canonical_json(design.model),
        "seed": seed,
        "epochs": design.recipe.epochs,
        "status": record.status,
        "val_accuracy": chance if diverged else record.val_accuracy,
        "test_accuracy": chance if diverged else record.test_accuracy,
        "params": record.params,
        "macs": record.macs,
        "latency_ms": measured.get("latency_ms"),
        "latency_device": measured.get("latency_device"),
        "image_size": design.dataset.image_size,
        "train_seconds": record.train_seconds,
        "val_curve": curve or [chance],
    }


def _mean(rows: list[dict[str, Any]], column: str) -> float:
    return float(np.mean([row[column] for row in rows]))


def _quickest(rows: list[dict[str, Any]]) -> float:
    whole = [row for row in rows if row["status"] == "complete"]  # a diverged training ended early
    return float(min(row["train_seconds"] for row in whole or rows))


def _place(values: Mapping[str, Value]) -> frozenset[tuple[str, Value]]:
    return frozenset(values.items())
