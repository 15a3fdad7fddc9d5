"""A search in an Optuna database of SQLite, beside whatever studies of others are in it."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from xception.base.files import lock_folder

__all__ = ["check_optuna_file", "update_study"]

_TABLES = {"alembic_version", "studies", "trials", "version_info"}
_NUMBER, _SEARCH = "suggestion", "search"


def check_optuna_file(path: Path, store: sa.URL | None = None) -> None:
    """Look whether a search can be written into a file: a new one, or an Optuna database that is not the store.

    Raises:
        ValueError: it is another file, or cannot be written.
    """
    allowed = "allowed: a new file, or a database that Optuna wrote"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--optuna-db: {path} cannot be made ({error.strerror}); {allowed}") from None
    if not path.exists():
        if path.is_symlink() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise ValueError(f"--optuna-db: {path} cannot be made; {allowed}")
        return
    database = None if store is None else store.database
    if database and Path(database).exists() and path.samefile(database):
        raise ValueError(f"--optuna-db: {path} is the store of records; {allowed}")
    if not path.is_file() or not _tables(path) >= _TABLES:
        raise ValueError(f"--optuna-db: {path} is no Optuna database and is left as it is; {allowed}")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"--optuna-db: {path} cannot be written; {allowed}")
    try:
        _open(path)
    except (RuntimeError, sa.exc.SQLAlchemyError) as error:  # of another version of Optuna's
        raise ValueError(f"--optuna-db: {path}: {' '.join(str(error).split())[:200]}; {allowed}") from None


def update_study(
    path: Path, study: optuna.Study, trials: Sequence[tuple[int, FrozenTrial]], *, search: str, names: Sequence[str]
) -> None:
    """Add a study to a database, or those of its trials that are not there yet; nothing else in the file is changed.

    `trials` are finished ones with the numbers of their suggestions, which they keep as an attribute.

    Raises:
        ValueError: the file is none that may be written.
    """
    check_optuna_file(path)
    with lock_folder(path.parent):
        storage = _open(path)
        written = optuna.create_study(
            storage=storage, study_name=study.study_name, directions=study.directions, load_if_exists=True
        )
        if written.user_attrs.get(_SEARCH) != search and written.get_trials(deepcopy=False):  # of an earlier version
            optuna.delete_study(study_name=study.study_name, storage=storage)
            written = optuna.create_study(storage=storage, study_name=study.study_name, directions=study.directions)
        written.set_user_attr(_SEARCH, search)
        with warnings.catch_warnings():  # names only make the dashboard readable
            warnings.simplefilter("ignore", ExperimentalWarning)
            written.set_metric_names(list(names))
        known = {trial.user_attrs.get(_NUMBER) for trial in written.get_trials(deepcopy=False)}
        for number, trial in trials:
            if number not in known:
                trial.set_user_attr(_NUMBER, number)
                written.add_trial(trial)
        storage.engine.dispose()


def _open(path: Path) -> RDBStorage:
    url = sa.URL.create("sqlite", database=str(path)).render_as_string()
    if sa.make_url(url).database != str(path):
        raise ValueError(f"--optuna-db: {path} has a ? in it, which Optuna cannot open; allowed: a path without")
    url = url.replace("{", "{{").replace("}", "}}")  # Optuna fills in templates
    return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})


def _tables(path: Path) -> set[str]:
    """The tables of an SQLite file; none where it is something else."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return set()
