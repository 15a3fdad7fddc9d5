"""The options of a run. Each option is defined here once; the command lines, `ablations.run` and the command stored
with a plan are derived from these classes.

To add an option, add a field with a default and a docstring to the class it belongs to. A field `train_size: int | None
= None` then is the argument `--train-size N` with the docstring as its help, a keyword of `ablations.run`, and part of
the command stored with a plan (unless it is in `BackendOptions` or `PresentationOptions`, which change no trial). A
`bool` is a flag, a `tuple[str, ...]` an option that may be repeated, a `Literal` a choice, a `Path` a file or folder;
alternatives such as `int | Literal["auto"] | None` are tried in order. `design/plan_study.py` resolves the options.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, get_type_hints

from ablations.design.scales import ScaleName, default_scale
from ablations.design.study import Match
from ablations.records.passwords import without_password
from xception.base.assignments import assigned_texts
from xception.data.layout import Layout

__all__ = [
    "BackendOptions",
    "FigureStyle",
    "FigureWidth",
    "FolderOptions",
    "Options",
    "PresentationOptions",
    "RunOptions",
    "SettingOptions",
    "selected",
]

T = TypeVar("T")
FigureStyle = Literal["report", "paper"]
FigureWidth = Literal["one", "two"]


@dataclass(frozen=True, kw_only=True)
class SettingOptions:
    """Data, network and budget."""

    dataset: str | None = None
    """cifar10, cifar100, imagenette, synthetic, folder:PATH or parquet:PATH. Default: CIFAR-10 where it is found, else
    synthetic."""
    splits: str | None = None
    """Folder or split of the data for each role: train=NAME,test=NAME,val=NAME. Default: by their names."""
    image_column: str | None = None
    """Column of images in Parquet files. Default: by the schema, else by name."""
    label_column: str | None = None
    """Column of classes in Parquet files. Default: by the schema, else by name."""
    channels: Literal[1, 3] | None = None
    """1 for grayscale. Default: 3, whatever the files hold."""
    scale: ScaleName | None = None
    """Size of network, data, epochs and seeds; quick is the latest of quick-1 and quick-2. Default: standard on a
    machine with a GPU, else quick."""
    preset: str | None = None
    """Network to start from instead of the scale's: a preset, or a .json file of a config."""
    recipe: str | None = None
    """Recipe to train by instead of the scale's, for the scale's epochs: smoke, quick, stable, adamw, standard or
    paper, or an earlier version such as quick-1; see --recipes."""
    epochs: int | None = None
    """Epochs per trial, instead of the scale's."""
    train_size: int | None = None
    """Training images, instead of the scale's."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE sets a field of network, recipe or data, such as recipe.optimizer.learning_rate=0.05; see --fields.
    May be repeated; all are set together."""
    config: Path | None = None
    """TOML or JSON file of fields to set, as with --set; --set takes precedence."""

    def layout(self) -> Layout:
        """Return the options on the layout of the data.

        Raises:
            ValueError: --splits is of another form.
        """
        return Layout(
            splits=() if self.splits is None else Layout.parse_splits(self.splits),
            image_column=self.image_column,
            label_column=self.label_column,
            channels=self.channels,
        )

    @property
    def scale_name(self) -> str:
        """The requested scale, else this machine's default."""
        return self.scale or default_scale()


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """Where and how trials run."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: int | None = None
    """Trials at a time. Default: one per core without a GPU, else one."""
    threads: int = 1
    """CPU threads per trial. Their number changes the last bits of a result."""
    executor: Literal["local", "ray"] = "local"
    """Worker processes on this machine, or a Ray cluster."""
    ray_address: str | None = None
    """With --executor ray: HOST:PORT of a cluster's head node, or auto for the one on this machine. Default: start a
    new one."""
    cpus_per_trial: float | None = None
    """With --executor ray: cores per trial, or a fraction of one. Default: --threads."""
    gpus_per_trial: float | None = None
    """With --executor ray: GPUs per trial, or a fraction of one. Default: 1 where the cluster has GPUs."""
    trial_timeout: float | None = None
    """Seconds after which a trial is stopped and resumed once from its last checkpoint. Default: no limit."""
    seed_batch: int | None = None
    """Seeds of a variant that are trained together. Default: 8 on a GPU, 1 on a CPU."""
    compile: bool = False
    """Use torch.compile, once per architecture: takes about a minute and pays off for long trials."""


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Locations of data, records and results."""

    store: str | None = None
    """Database of records: sqlite:///PATH or postgresql://HOST/NAME. Default: sqlite:///<out>/records.db."""
    data_dir: Path | None = None
    """Folder of the data sets. Default: $XCEPTION_DATA or ./data."""
    out: Path = Path("results/local")
    """Folder for results; each run has a folder of its own in it."""

    @property
    def networks(self) -> Path:
        """The folder in which `--keep-weights` saves trained networks."""
        return self.out / "networks"

    @property
    def store_url(self) -> str:
        """The given store, else `<out>/records.db`."""
        return self.store or f"sqlite:///{self.out / 'records.db'}"


@dataclass(frozen=True, kw_only=True)
class RunOptions(FolderOptions, BackendOptions, SettingOptions):
    """The options of every command that trains."""

    def __post_init__(self) -> None:
        if isinstance(self.set, Mapping):  # from Python
            object.__setattr__(self, "set", assigned_texts(self.set))
        for name, hint in _path_fields(cast(Any, type(self))).items():
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, hint(value))

    def replace(self, **changes: Any) -> Self:
        """Return the options with some changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class PresentationOptions:
    """How results are shown."""

    columns: str | None = None
    """NAME,NAME,… shows these columns of table.csv, in this order, in table.md, table.tex, table.html and the report;
    docs/files.md lists the names. Default: every column that is made for reading and has a value. table.csv always
    has all."""
    figure_style: FigureStyle = "report"
    """report, or paper: figures without title and note, which are in a text file next to each."""
    figure_width: float | FigureWidth | None = None
    """Width of every figure: one (3.3 inches, one column of a paper), two (6.9 inches, both columns), or 3 to 10
    inches. Default: one column, and more for figures with several panels."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, PresentationOptions):
    """Options of a study."""

    seeds: int | Literal["auto"] | None = None
    """Number of paired seeds, or auto to analyse after 3, 5, 8 and 10 and stop as soon as every variant is decided.
    Default: auto; 2 at scale smoke, which gives no verdict."""
    fresh_seeds: int | None = None
    """Number of seeds never used before, from 30,000 on, instead of the first ones: for a verdict that is valid after
    earlier results were seen.
    """
    margin: float | None = None
    """Smallest difference in test accuracy that matters, in percentage points. Default: the study's, else that of the
    scale."""
    across: tuple[str, ...] = ()
    """FIELD=V1,V2,… runs the study in several settings, one for each value, and reports where each effect holds. May be
    repeated: one setting for each combination. FIELD is dataset, preset or a field of --fields."""
    yes: bool = False
    """Run any number of settings of --across."""
    classes: str | None = None
    """Train on some classes of the data set only: 5 for the first five, 5-9 for the sixth to the tenth."""
    match: Match = "none"
    """Bring every variant to the baseline's parameters or multiply-accumulates by its width."""
    weights: Path | None = None
    """File of weights that the study transfer starts from, instead of a network that it trains itself."""
    tune: int = 0
    """Recipe-tuning trials given to every variant, the baseline included; 0 compares at the fixed recipe alone."""
    keep_weights: bool = False
    """Keep each trial's trained network as <out>/networks/KEY.safetensors, for `python -m xception predict`. A stored
    trial without its network is trained once more; its record stays. States from which --resume-from can continue are
    kept too.
    """
    name: str | None = None
    """Name of the run and of its folder. Default: the study and what differs from CIFAR-10 at quick."""
    live: bool = False
    """Serve a provisional report on this machine alone while the study trains, at the address that is printed: what
    runs, curves and effects so far, time left. It is rewritten after each trial."""
    tensorboard: bool = False
    """Write each trial's parameters, curves and final metrics for TensorBoard below <out>/tensorboard as they come."""
    wandb: str | None = None
    """Also log the trials as runs of this Weights & Biases project; with WANDB_MODE=offline they stay below
    <out>/wandb.
    """

    def overrides(self) -> list[str]:
        """Return the arguments that decide which trials are run, beyond the study's name."""
        changed = {f.name: f.default for f in dataclasses.fields(Options) if f.name not in _CHANGE_NO_TRIAL}
        return _arguments(self, changed)

    def arguments(self) -> list[str]:
        """Return the command-line arguments for the same trials and folders, without the study's name."""
        folders = {f.name: f.default for f in dataclasses.fields(FolderOptions)}
        shown = dataclasses.replace(self, store=None if self.store is None else without_password(self.store))
        return self.overrides() + _arguments(shown, {"name": None, **folders})


_CHANGE_NO_TRIAL = {
    f.name for kind in (BackendOptions, FolderOptions, PresentationOptions) for f in dataclasses.fields(kind)
} | {
    "keep_weights",
    "live",
    "name",
    "tensorboard",
    "wandb",
    "yes",
}


def selected(kind: type[T], options: object) -> T:
    """Return the options of a class, with values from fields of the same names of another."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(options, name) for name in names if hasattr(options, name)})


def _arguments(options: object, defaults: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, default in defaults.items():
        value, option = getattr(options, name), f"--{name.replace('_', '-')}"
        if value == default:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [option] if one is True else [option, str(one)]
    return words


@functools.cache
def _path_fields(kind: Any) -> dict[str, type[Path]]:
    return {name: Path for name, hint in get_type_hints(kind).items() if hint in (Path, Path | None)}
