"""Options of `python -m search` and its commands; those of all runs are in `ablations/design/options.py`,
whose docstring says how to add an option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.design.options import RunOptions
from search.design.definition import parse_amount

__all__ = ["CompareOptions", "ContestOptions", "ExhaustOptions", "SearchOptions", "names_in"]


@dataclass(frozen=True, kw_only=True)
class SearchOptions(RunOptions):
    """Options of a search."""

    space: str | None = None
    """Name of a space (see --list), or a Python file that exports SPACE."""
    fix: tuple[str, ...] = ()
    """FIELD=VALUE that all candidates share, such as model.residual.kind=projection; may be repeated."""
    prior: tuple[str, ...] = ()
    """DIMENSION=VALUE:PROBABILITY, such as operator.kernel_size=3:0.7: the distribution of the first suggestions and of
    random ones; may be repeated.
    """
    trials: int | None = None
    """Candidates to evaluate, including those of an earlier run of the same search; candidates that are turned away
    before training do not count.
    """
    objectives: str = "val_accuracy"
    """Any of val_accuracy, macs, params, latency_ms (measured here, alone) and memory_mib (peak of inference),
    separated by commas."""
    sampler: str = "tpe"
    """random, qmc, tpe, gp, nsga2, nsga3, cmaes, evolution (regularised), local or predictor (a Gaussian process over
    dimensions and size)."""
    pruner: str = "none"
    """asha (with any objectives), hyperband or median (with val_accuracy alone): rungs of more and more epochs, each
    continued from the one below; or wilcoxon, over seeds."""
    max_macs: str | None = None
    """Multiply-accumulates at most, such as 20M; larger networks are narrowed until they fit."""
    max_params: str | None = None
    """Parameters at most, such as 300k; larger networks are narrowed until they fit."""
    max_latency_ms: float | None = None
    """Latency at most on this device; slower networks are narrowed, and not trained if that is not enough."""
    max_memory_mib: float | None = None
    """Memory of inference at most; larger networks are narrowed, and not trained if that is not enough."""
    accuracy_at_most: float = 1.0
    """A validation accuracy that no candidate can exceed. Candidates that would be dominated even at this accuracy are
    skipped; at 1 none are."""
    seed: int = 0
    """Of the suggestions."""
    seeds_per_candidate: int = 1
    """Seeds per candidate, whose mean is used."""
    population: int = 20
    """Population size of nsga2, nsga3 and evolution; local search starts with a quarter as many."""
    proxies: str = ""
    """Zero-cost proxies whose rank correlation with accuracy is measured: any of grad_norm, synflow, naswot."""
    warm_start: str | None = None
    """Start with the best of a random pool by this proxy."""
    filter: str | None = None
    """Turn away candidates below the lower quartile of those trained so far, by this proxy or the predictor."""
    confirm: int = 3
    """Number of winners that are trained again with fresh seeds, together with the initial network of the search; 0 for
    none.
    """
    keep_weights: bool = False
    """Keep the winners' trained networks as <out>/networks/KEY.safetensors, and the first seed's next to each winner's
    config in best/.
    """
    confirm_seeds: int | None = None
    """Fresh seeds of each, instead of the scale's number of seeds."""
    confirm_across: tuple[str, ...] = ()
    """Train the winners again in other settings too: FIELD=V1,V2,… such as recipe.epochs=24, in addition to the
    search's own; may be given several times.
    """
    optuna_db: Path | None = None
    """Write the search as an Optuna study into this SQLite file while it runs, for its dashboard; other studies in it
    are unchanged.
    """

    @property
    def limits(self) -> tuple[tuple[str, float], ...]:
        """The most that is allowed of each limited cost."""
        amounts = (("macs", self.max_macs), ("params", self.max_params))
        counted = [(name, parse_amount(text, f"--max-{name}")) for name, text in amounts if text is not None]
        measured = (("latency_ms", self.max_latency_ms), ("memory_mib", self.max_memory_mib))
        return (*counted, *((name, value) for name, value in measured if value is not None))


@dataclass(frozen=True, kw_only=True)
class ExhaustOptions(RunOptions):
    """Options of `exhaust`."""

    space: str = "table"
    """Name of a finite space."""
    seeds: int = 3
    """Trainings of every network."""
    rungs: bool = False
    """Train every network for the epochs of a pruner's rungs too, at the schedule of warm-up, stable rate and decay."""
    extra_seeds: int = 0
    """More seeds of a random third of the networks."""
    held_out: int = 0
    """Number of the best networks that are trained with seeds hidden from replayed searches."""
    held_out_seeds: int = 2
    """Held-out seeds of each of them."""
    longer: int = 0
    """Number of the best networks that are also trained for --longer-epochs."""
    longer_epochs: int = 24
    """Epochs of the longer trainings."""
    table: Path | None = None
    """Parquet file for the benchmark. Default: <out>/<space>.parquet."""
    dry_run: bool = False
    """Show the number of trials, those stored, and the cost of the rest; train nothing."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(RunOptions):
    """Options of `compare-spaces`, besides the two spaces."""

    samples: int = 30
    """Random networks of each space."""
    macs: str | None = None
    """Multiply-accumulates of all networks, such as 9M. Default: those of the network to start from."""
    seed: int = 0
    """Seed of the random networks."""

    @property
    def target_macs(self) -> float | None:
        """The multiply-accumulates given, as a number."""
        return None if self.macs is None else parse_amount(self.macs, "--macs")


@dataclass(frozen=True, kw_only=True)
class ContestOptions(RunOptions):
    """Options of `contest`."""

    space: str = "family"
    """Name of a space, or a Python file that exports SPACE."""
    samplers: str = "evolution,predictor,random"
    """Samplers that search, separated by commas."""
    candidates: int = 40
    """Candidates of each sampler."""
    seed: int = 0
    """Of the suggestions."""
    confirm_seeds: int = 10
    """Fresh seeds of the best of each and of the default."""
    longer_epochs: int = 24
    """Epochs of the second comparison, which no search sees."""
    dry_run: bool = False
    """Show what is trained and what it costs at most; train nothing."""
    report: bool = False
    """Write the results of this contest again from the store, finished or not; train nothing."""


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
