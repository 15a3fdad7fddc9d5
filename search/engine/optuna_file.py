"""A search in an Optuna database of SQLite, which may have other studies too."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.design.definition import Definition
from search.design.space import Space
from search.engine.ledger import Row
from xception.base.files import lock_folder

__all__ = ["OptunaFile", "check_optuna_file", "study_name"]

_TABLES = {"alembic_version", "studies", "trials", "version_info"}
_NUMBER, _SEARCH = "suggestion", "search"
_STATES = {
    "asked": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "dominated": TrialState.PRUNED,
    "filtered": TrialState.PRUNED,
}
Times = tuple[datetime, datetime | None]


def check_optuna_file(path: Path, store: sa.URL | None = None) -> None:
    """Check that a search can be written into a file: a new one, or an Optuna database that is not the store.

    Raises:
        ValueError: it is another file, or cannot be written.
    """
    allowed = "allowed: a new file, or a database that Optuna wrote"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_there = path.exists()
        if not is_there:
            with tempfile.TemporaryFile(dir=path.parent):  # permissions alone do not show that files can be made there
                pass
    except OSError as error:
        raise ValueError(f"--optuna-db: {path} cannot be made ({error.strerror}); {allowed}") from None
    if path.is_symlink() and not is_there:
        raise ValueError(f"--optuna-db: {path} is a broken link; {allowed}")
    if not is_there:
        return
    database = None if store is None else store.database
    if database and Path(database).exists() and path.samefile(database):
        raise ValueError(f"--optuna-db: {path} is the store of records; {allowed}")
    if not path.is_file() or not _tables(path) >= _TABLES:
        raise ValueError(f"--optuna-db: {path} is not an Optuna database and is left unchanged; {allowed}")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"--optuna-db: {path} cannot be written; {allowed}")
    try:
        _open(path)
    except (RuntimeError, sa.exc.SQLAlchemyError) as error:  # of another version of Optuna's
        raise ValueError(f"--optuna-db: {path}: {' '.join(str(error).split())[:200]}; {allowed}") from None


class OptunaFile:
    """A search in a database, written suggestion by suggestion: its dashboard shows the search while it runs.

    Call it with every row that is written. Trials have the times of the suggestions and, as attributes, the
    suggestion's number, the trials' keys, costs and state; a candidate that may continue is a running one. Nothing else
    in the file is changed.

    Raises:
        ValueError: the file must not be written.
    """

    def __init__(self, path: Path, definition: Definition, space: Space, store: sa.URL | None = None) -> None:
        check_optuna_file(path, store)
        self._path, self._distributions = path, {d.name: d.distribution() for d in space.dimensions}
        self._is_promoting = definition.pruner == "asha"
        self._names = definition.objectives
        with lock_folder(path.parent):
            self._storage = _open(path)
            name = study_name(definition)
            directions = [StudyDirection.MAXIMIZE if sign < 0 else StudyDirection.MINIMIZE for sign in definition.signs]
            study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, load_if_exists=True
            )
            if study.user_attrs.get(_SEARCH) != definition.key and study.get_trials(
                deepcopy=False
            ):  # an earlier version's
                optuna.delete_study(study_name=name, storage=self._storage)
                study = optuna.create_study(storage=self._storage, study_name=name, directions=directions)
            study.set_user_attr(_SEARCH, definition.key)
            with warnings.catch_warnings():  # names are only for readability in the dashboard
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(definition.objectives))
        self._id = self._storage.get_study_id_from_name(name)

    def __call__(self, row: Row, times: Times | None = None) -> None:
        """Write a suggestion, or its result."""
        with lock_folder(self._path.parent):
            known = {
                trial.user_attrs.get(_NUMBER): trial for trial in self._storage.get_all_trials(self._id, deepcopy=False)
            }
            self._write(row, known.get(row.number), times or (datetime.now(UTC), None))

    def close(self, rows: Sequence[Row], times: Mapping[int, Times]) -> None:
        """Write the final state of the whole search, so that no candidate is left running, and close the file."""
        self._is_promoting = False
        for row in rows:
            self(row, times.get(row.number))
        self._storage.engine.dispose()

    def _write(self, row: Row, known: FrozenTrial | None, times: Times) -> None:
        state = _STATES[row.state]
        if self._is_promoting and row.state == "pruned":
            state = TrialState.RUNNING
        values = None
        if state == TrialState.COMPLETE:
            values = [float(value) for value in row.values if value is not None]
        elif state == TrialState.PRUNED and row.steps and len(self._names) == 1:
            values = [row.steps[-1][1]]
        if known is None:
            self._storage.create_new_trial(self._id, self._template(row, state, values, times))
        elif not known.state.is_finished():
            for step, value in row.steps:
                self._storage.set_trial_intermediate_value(known._trial_id, step, value)
            for name, attribute in _attributes(row).items():
                self._storage.set_trial_user_attr(known._trial_id, name, attribute)
            if state.is_finished():
                self._storage.set_trial_state_values(known._trial_id, state, values)

    def _template(self, row: Row, state: TrialState, values: list[float] | None, times: Times) -> FrozenTrial:
        trial = optuna.trial.create_trial(
            state=state,
            values=values,
            params=row.params,
            distributions={name: self._distributions[name] for name in row.params},
            intermediate_values=dict(row.steps),
            user_attrs=_attributes(row),
            system_attrs={f"constraints:{name}": value for name, value in row.excess.items()},
        )
        # Optuna's times are local ones without a zone.
        began, ended = (None if time is None else time.astimezone().replace(tzinfo=None) for time in times)
        trial.datetime_start = began
        trial.datetime_complete = (ended or datetime.now()) if state.is_finished() else None
        return trial


def study_name(definition: Definition) -> str:
    """Return the name of a search in an Optuna database."""
    return f"{definition.space} {definition.key[:12]}"


def _attributes(row: Row) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        _NUMBER: row.number,
        "key": " ".join(row.keys),
        "status": row.state,
        "origin": row.origin,
        "trainings": row.trainings,
        **row.costs,
    }
    return attributes if row.reason is None else attributes | {"reason": row.reason}


def _open(path: Path) -> RDBStorage:
    url = sa.URL.create("sqlite", database=str(path)).render_as_string()
    if sa.make_url(url).database != str(path):
        raise ValueError(f"--optuna-db: {path} has a ? in it, which Optuna cannot open; allowed: a path without")
    url = url.replace("{", "{{").replace("}", "}}")  # Optuna fills in templates
    return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})


def _tables(path: Path) -> set[str]:
    """The tables of an SQLite file; none for any other file."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return set()
