"""Search networks, train a space whole, and replay search methods on it.

python -m search --space middle_flow --trials 50 --objectives val_accuracy,macs
python -m search --list
python -m search exhaust --space table --seeds 3
python -m search replay --table results/table.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xception.base.command_line import parse, refuse

if TYPE_CHECKING:
    from ablations.design.study_plan import Options
    from ablations.execution.backend import Machines

PROG = "python -m search"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every command that trains can be asked for."""

    dataset: str | None = None
    """cifar10, cifar100, imagenette, synthetic, folder:PATH or parquet:PATH. Without it CIFAR-10 where it is found,
    else synthetic."""
    scale: Literal["smoke", "quick", "standard", "paper"] | None = None
    """Size of network, data, epochs and seeds; standard where there is a GPU, else quick."""
    preset: str | None = None
    """Network to begin with, instead of the scale's: a preset, or a file of a config that ends in .json."""
    epochs: int | None = None
    """Epochs per trial, instead of the scale's."""
    train_size: int | None = None
    """Training images, instead of the scale's."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: int | None = None
    """Trials at a time; one per core without a GPU. With one, a search that is continued is the search that was
    interrupted."""
    threads: int = 1
    """Threads of one trial on a CPU; part of the plan, since it changes the last bits of a result."""
    executor: Literal["local", "ray"] = "local"
    """Where trials run: worker processes on this machine, or a Ray cluster."""
    ray_address: str | None = None
    """With --executor ray: HOST:PORT of a cluster's head node, or auto for the one on this machine; starts its own
    without it."""
    store: str | None = None
    """Database of records: sqlite:///PATH or postgresql://HOST/NAME; sqlite:///<out>/records.db without it."""
    data_dir: Path | None = None
    """Folder that holds the data sets; $XCEPTION_DATA or ./data without it."""
    out: Path = Path("results/local")
    """Folder for results."""


@dataclass(frozen=True, kw_only=True)
class Arguments(Run):
    """What can be asked of a search."""

    space: str | None = None
    """Name of a space; see --list."""
    trials: int | None = None
    """Candidates to evaluate, those of an earlier run of the same search included; what is turned away before training
    does not count."""
    objectives: str = "val_accuracy"
    """Any of val_accuracy, macs, params, latency_ms (measured here, alone) and memory_mib (peak of inference),
    separated by commas."""
    sampler: str = "tpe"
    """random, qmc, tpe, gp, nsga2, nsga3, cmaes, evolution (regularised) or local."""
    pruner: str = "none"
    """With val_accuracy alone: hyperband, asha or median over trainings of fewer epochs, or wilcoxon over seeds."""
    max_macs: str | None = None
    """Turn away networks with more multiply-accumulates, such as 20M; they are not built."""
    max_params: str | None = None
    """Turn away networks with more parameters, such as 300k; they are not built."""
    max_latency_ms: float | None = None
    """Turn away networks that are slower on this device; they are not trained."""
    max_memory_mib: float | None = None
    """Turn away networks whose inference needs more memory; they are not trained."""
    accuracy_at_most: float = 1.0
    """A validation accuracy that no candidate can exceed: whoever is dominated even so is not trained. At 1 nobody
    is."""
    seed: int = 0
    """Of the suggestions."""
    seeds_per_candidate: int = 1
    """Trainings of each candidate, whose mean counts."""
    population: int = 20
    """Of nsga2, nsga3 and evolution; local search begins with a quarter as many."""
    proxies: str = ""
    """Zero-cost proxies whose rank correlation with accuracy is measured: any of grad_norm, synflow, naswot."""
    warm_start: str | None = None
    """Begin with the best of a random pool by this proxy."""
    filter: str | None = None
    """Turn away candidates below the lower quarter of those trained so far by this proxy."""
    confirm: int = 3
    """How many winners are trained again with fresh seeds beside the network that the search began with; 0 for none."""
    confirm_seeds: int | None = None
    """Fresh seeds of each, instead of the scale's number of seeds."""
    optuna_db: Path | None = None
    """Write the search as an Optuna study into this SQLite file, for its dashboard."""
    list: bool = False
    """List the spaces."""
    json: bool = False
    """With --list: print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class ExhaustArguments(Run):
    """What can be asked of `exhaust`."""

    space: str = "table"
    """Name of a finite space."""
    seeds: int = 3
    """Trainings of every network."""
    table: Path | None = None
    """Parquet file for the benchmark; <out>/<space>.parquet without it."""
    dry_run: bool = False
    """Show how many trials there are, how many are stored, and what the rest will cost; train nothing."""


@dataclass(frozen=True, kw_only=True)
class ReplayArguments:
    """What can be asked of `replay`."""

    table: Path
    """Parquet file that `exhaust` wrote."""
    samplers: str = "random,qmc,tpe,gp,nsga2,nsga3,evolution,local,hyperband"
    """Search methods to compare, separated by commas."""
    trials: int = 40
    """Trials of each search."""
    repeats: int = 30
    """Searches with each method."""
    seed: int = 0
    """Of the searches."""
    out: Path = Path("results/local")
    """Folder for results: they go to <out>/replay."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = [*(sys.argv[1:] if args is None else args)]
    if args is None:
        from ablations.records.passwords import hide_in_process_list

        hide_in_process_list(sys.argv)
    try:
        if words[:1] == ["exhaust"]:
            return _exhaust(words)
        if words[:1] == ["replay"]:
            return _replay(words)
        if words and not words[0].startswith("-"):
            raise ValueError(
                f"{words[0]!r} is not a command; allowed: exhaust, replay, or options such as --space and --list"
            )
        return _search(words)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        refuse(
            PROG,
            f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}; what was finished is stored",
        )


def _search(words: Sequence[str]) -> int:
    asked = parse(
        Arguments, words, prog=PROG, description="Search the Xception family; also: exhaust --help, replay --help."
    )
    if asked.list:
        from search.commands.list_spaces import list_spaces

        return list_spaces(as_json=asked.json)
    if asked.json:
        raise ValueError("--json: goes with --list")
    if asked.space is None:
        raise ValueError("--space: missing; give a name from --list")
    if asked.trials is None:
        raise ValueError("--trials: missing; the number of candidates to evaluate")
    from search.design.definition import parse_amount
    from search.spaces import get_space

    get_space(asked.space)  # a wrong name is told before anything heavy is imported
    amounts = (("macs", asked.max_macs), ("params", asked.max_params))
    limits = [(name, parse_amount(text, f"--max-{name}")) for name, text in amounts if text is not None]
    numbers = (("latency_ms", asked.max_latency_ms), ("memory_mib", asked.max_memory_mib))
    limits += [(name, value) for name, value in numbers if value is not None]
    from ablations.running.interruption import interruptible
    from search.commands.search import Wishes, run_search

    wishes = Wishes(
        space=asked.space,
        trials=asked.trials,
        sampler=asked.sampler,
        pruner=asked.pruner,
        objectives=_names(asked.objectives),
        limits=tuple(limits),
        seed=asked.seed,
        seeds_per_candidate=asked.seeds_per_candidate,
        population=asked.population,
        accuracy_at_most=asked.accuracy_at_most,
        proxies=_names(asked.proxies),
        warm_start=asked.warm_start,
        filter=asked.filter,
        confirm=asked.confirm,
        confirm_seeds=asked.confirm_seeds,
        optuna_db=asked.optuna_db,
    )
    with interruptible(["-m", "search", *words]):
        return run_search(wishes, _options(asked), _machines(asked), _command(words))


def _exhaust(words: Sequence[str]) -> int:
    asked = parse(
        ExhaustArguments, words[1:], prog=f"{PROG} exhaust", description="Train every network of a finite space."
    )
    from ablations.running.interruption import interruptible
    from search.commands.exhaust import exhaust

    with interruptible(["-m", "search", *words]):
        return exhaust(
            asked.space,
            asked.seeds,
            _options(asked),
            _machines(asked),
            table=asked.table,
            dry_run=asked.dry_run,
            command=_command(words),
        )


def _replay(words: Sequence[str]) -> int:
    asked = parse(
        ReplayArguments,
        words[1:],
        prog=f"{PROG} replay",
        description="Replay search methods on a space that was trained whole.",
    )
    from ablations.running.interruption import interruptible
    from search.commands.replay import replay

    with interruptible(["-m", "search", *words]):
        return replay(
            asked.table,
            _names(asked.samplers),
            trials=asked.trials,
            repeats=asked.repeats,
            seed=asked.seed,
            out=asked.out,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _command(words: Sequence[str]) -> str:
    import shlex

    from ablations.records.passwords import without_password

    return shlex.join(["python", "-m", "search", *(without_password(word) for word in words)])


def _options(asked: Run) -> Options:
    from ablations.design.scales import default_scale
    from ablations.design.study_plan import Options

    return Options(
        scale=asked.scale or default_scale(),
        dataset=asked.dataset,
        preset=asked.preset,
        epochs=asked.epochs,
        train_size=asked.train_size,
        data_dir=asked.data_dir,
        out=asked.out,
        store=asked.store,
    )


def _machines(asked: Run) -> Machines:
    from ablations.execution.backend import Machines

    return Machines(
        device=asked.device,
        workers=asked.workers,
        threads=asked.threads,
        executor=asked.executor,
        ray_address=asked.ray_address,
    )


if __name__ == "__main__":
    sys.exit(main())
