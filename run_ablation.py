"""The front door: run a study, list the catalogue, or make a report from what is stored.

python run_ablation.py --study residuals
python run_ablation.py --list
python run_ablation.py --report --study residuals
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ablations.records.passwords import hide_in_process_list
from ablations.running.interruption import interruptible
from xception.base.command_line import parse, refuse

if TYPE_CHECKING:
    from ablations.design.study_plan import Options
    from ablations.running.run import Tuner

PROG = "run_ablation.py"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What can be asked for on the command line."""

    study: str | None = None
    """Name of a study (see --list), or the path of a study file that ends in .py."""
    dataset: str | None = None
    """cifar10, cifar100, imagenette, synthetic, folder:PATH or parquet:PATH. Without it CIFAR-10 where it is found,
    else synthetic."""
    scale: Literal["smoke", "quick", "standard", "paper"] | None = None
    """Size of network, data, epochs and seeds; standard where there is a GPU, else quick."""
    seeds: str | None = None
    """Number of paired seeds, or auto to stop as soon as a variant is settled."""
    preset: str | None = None
    """Network to start from, instead of the scale's: a preset, or a file of a config that ends in .json."""
    epochs: int | None = None
    """Epochs per trial, instead of the scale's."""
    train_size: int | None = None
    """Training images, instead of the scale's."""
    classes: str | None = None
    """Some classes of the data set alone: 5 for the first five, 5-9 for the sixth to the tenth."""
    match: Literal["none", "params", "macs"] = "none"
    """Bring every variant to the baseline's parameters or multiply-accumulates by its width."""
    weights: Path | None = None
    """File of weights that the study transfer begins with, instead of a network that it trains itself."""
    tune: int = 0
    """Recipe-tuning trials given to every variant, the baseline included; 0 compares at the fixed recipe alone."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: int | None = None
    """Trials at a time; one per core without a GPU."""
    threads: int = 1
    """Threads of one trial on a CPU; part of the plan, since it changes the last bits of a result."""
    trial_timeout: float | None = None
    """Seconds after which a trial that is not done is ended and begun again from its last checkpoint, once; no limit
    without it."""
    seed_batch: int | None = None
    """Seeds of a variant that are trained as one; 8 on a GPU, 1 on a CPU."""
    compile: bool = False
    """Put networks through torch.compile, once for an architecture: it takes about a minute and pays where trials are
    long."""
    executor: Literal["local", "ray"] = "local"
    """Where trials run: worker processes on this machine, or a Ray cluster."""
    ray_address: str | None = None
    """With --executor ray: HOST:PORT of a cluster's head node, or auto for the one on this machine; starts its own
    without it."""
    cpus_per_trial: float | None = None
    """With --executor ray: cores of one trial, or a fraction of one; as many as --threads without it."""
    gpus_per_trial: float | None = None
    """With --executor ray: GPUs of one trial, or a fraction of one; 1 where the cluster has GPUs."""
    store: str | None = None
    """Database of records: sqlite:///PATH or postgresql://HOST/NAME; sqlite:///<out>/records.db without it."""
    data_dir: Path | None = None
    """Folder that holds the data sets; $XCEPTION_DATA or ./data without it."""
    out: Path = Path("results/local")
    """Folder for results, one folder per study in it."""
    tensorboard: bool = False
    """Write each trial's curves for TensorBoard below <out>/tensorboard as they come."""
    dry_run: bool = False
    """Show the exact trials, which of them are stored, and what the rest will cost; train nothing."""
    list: bool = False
    """List the catalogue of studies."""
    report: bool = False
    """Write tables, figures and report again from the store; train nothing."""
    json: bool = False
    """With --list: print one JSON document."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if args is None:
        hide_in_process_list(sys.argv)
    if os.environ.get("RANK", "0") != "0":
        return _follow(args)
    arguments = parse(Arguments, args, prog=PROG, description="Ablation studies of the Xception family.")
    try:
        with interruptible([PROG, *(sys.argv[1:] if args is None else args)]):
            return _answer(arguments)
    except ValueError as error:
        refuse(PROG, error)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        refuse(
            PROG,
            f"{place}{error.strerror or error}; what was finished is stored, and the same command goes on from there",
        )


def _follow(args: Sequence[str] | None) -> int:
    """Be one of torchrun's other processes: the first one alone says what is wrong, and says what to do."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        arguments = parse(Arguments, args, prog=PROG, description="")
    if arguments.study is not None and not (arguments.list or arguments.report or arguments.dry_run):
        from ablations.execution.distributed_executor import follow

        follow(arguments.device)
    return 0


def _answer(arguments: Arguments) -> int:
    if arguments.list:
        from ablations.commands.list_studies import list_studies

        return list_studies(scale=arguments.scale, out=arguments.out, as_json=arguments.json)
    if arguments.json:
        raise ValueError("--json: goes with --list")
    if arguments.report:
        from ablations.commands.report import report

        return report(study=arguments.study, out=arguments.out, store=arguments.store)
    if arguments.study is None:
        raise ValueError("--study: missing; give a name from --list, or use --list or --report")
    from ablations.execution.backend import Machines
    from ablations.running.run import run

    return run(
        study=arguments.study,
        options=_options(arguments),
        machines=Machines(
            device=arguments.device,
            workers=arguments.workers,
            threads=arguments.threads,
            executor=arguments.executor,
            ray_address=arguments.ray_address,
            cpus_per_trial=arguments.cpus_per_trial,
            gpus_per_trial=arguments.gpus_per_trial,
            trial_timeout=arguments.trial_timeout,
            seed_batch=arguments.seed_batch,
            compile=arguments.compile,
        ),
        dry_run=arguments.dry_run,
        tensorboard=arguments.tensorboard,
        tuner=_tuner(arguments.tune) if arguments.tune else None,
    )


def _tuner(num_trials: int) -> Tuner:
    from ablations.running.tuning import tune

    return lambda plan, store, executor, display, device, threads: tune(
        plan, store, executor, display, device=device, threads=threads, num_trials=num_trials
    )


def _options(arguments: Arguments) -> Options:
    from ablations.design.scales import default_scale
    from ablations.design.study_plan import Options

    seeds: int | Literal["auto"] | None
    try:
        seeds = "auto" if arguments.seeds == "auto" else None if arguments.seeds is None else int(arguments.seeds)
    except ValueError:
        raise ValueError(f"--seeds: {arguments.seeds!r} is not allowed; a number from 1, or auto") from None
    return Options(
        scale=arguments.scale or default_scale(),
        dataset=arguments.dataset,
        seeds=seeds,
        preset=arguments.preset,
        epochs=arguments.epochs,
        train_size=arguments.train_size,
        classes=arguments.classes,
        match=arguments.match,
        weights=arguments.weights,
        tune=arguments.tune,
        data_dir=arguments.data_dir,
        out=arguments.out,
        store=arguments.store,
    )


if __name__ == "__main__":
    sys.exit(main())
