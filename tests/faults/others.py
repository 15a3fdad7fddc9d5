"""Foreign files where ours are written: left unchanged, whatever else fails."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ablations.records.store import Store
from ablations.reporting.own_files import MANIFEST, replacing_own_files, require_own_folder
from search.engine.ledger import Row
from search.engine.optuna_file import OptunaFile, check_optuna_file, study_name
from tests.faults.bench import Bench, Outcome, forked, require


def message_of(action: Callable[[], object]) -> str:
    try:
        action()
    except ValueError as error:
        return " ".join(str(error).split())
    raise AssertionError("it was allowed")


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def written(folder: Path, names: list[str], mark: str = "ours", more: dict[str, Any] | None = None) -> None:
    """Results with some files, all with the same content."""
    with replacing_own_files(folder) as made:
        for name in names:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(mark, encoding="utf-8")
        (made / MANIFEST).write_text(json.dumps({"command": mark, **(more or {})}), encoding="utf-8")


def notes_in_results(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "study"
    written(folder, ["table.csv", "tuned/table.csv", "figures/strip.png"])
    mine = {"notes.txt": b"mine", "figures/mine.png": b"mine", "mine/table.csv": b"mine", "tuned/notes.txt": b"mine"}
    for name, content in mine.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    written(folder, ["table.csv"])
    left = content_of(folder)
    require(mine.items() <= left.items(), f"gone: {set(mine) - set(left)}")
    require(set(left) == {*mine, "table.csv", MANIFEST}, f"stale: {set(left) - set(mine)}")
    return Outcome(injected=len(mine), message="all of them are there, and nothing stale")


def results_of_others(bench: Bench) -> Outcome:
    """A foreign folder under the name of a run, with a file that would be replaced."""
    names, line = ["table.csv", "report.html", MANIFEST], ""
    for name in names:
        folder = bench.new_folder() / "study"
        folder.mkdir()
        (folder / name).write_text("mine", encoding="utf-8")
        line = message_of(lambda folder=folder: require_own_folder(folder))  # type: ignore[misc]
        message_of(lambda folder=folder: written(folder, ["table.csv", "report.html"]))  # type: ignore[misc]
        require(content_of(folder) == {name: b"mine"}, f"changed: {content_of(folder)}")
    return Outcome(injected=len(names), message=line.replace(str(bench.folder), "OUT"))


def folder_for_file(bench: Bench) -> Outcome:
    lines = []
    for name, is_folder in (("table.csv", True), ("figures", False)):
        folder = bench.new_folder() / "study"
        written(folder, [])
        if is_folder:
            (folder / name).mkdir()
        else:
            (folder / name).write_text("mine", encoding="utf-8")
        lines.append(message_of(lambda folder=folder: require_own_folder(folder)))  # type: ignore[misc]
        lines.append(message_of(lambda folder=folder: written(folder, ["table.csv", "figures/strip.png"])))  # type: ignore[misc]
        require((folder / name).exists(), "it was removed")
    return Outcome(injected=2, message=lines[0].replace(str(bench.folder), "OUT"))


def link_in_results(bench: Bench) -> Outcome:
    """A link in place of a file of ours is replaced, and not written through."""
    place = bench.new_folder()
    (place / "mine.csv").write_text("mine", encoding="utf-8")
    folder = place / "study"
    written(folder, ["table.csv"])
    (folder / "table.csv").unlink()
    (folder / "table.csv").symlink_to(place / "mine.csv")
    written(folder, ["table.csv"])
    require((place / "mine.csv").read_text(encoding="utf-8") == "mine", "the file behind the link was changed")
    require((folder / "table.csv").read_text(encoding="utf-8") == "ours", "the table is another")
    return Outcome(message="the link is replaced, the file behind it stays")


def manifest_names_others(bench: Bench) -> Outcome:
    """A list of our files that was forged to name foreign ones."""
    place = bench.new_folder()
    (place / "mine").write_text("mine", encoding="utf-8")
    folder = place / "study"
    folder.mkdir()
    listed = ["../mine", str(place / "mine"), "../study/../mine", 3, None]
    (folder / MANIFEST).write_text(json.dumps({"command": "x", "files": listed}), encoding="utf-8")
    written(folder, ["table.csv"])
    require((place / "mine").is_file(), "a file outside was removed")
    return Outcome(injected=len(listed), message="nothing outside the folder is touched")


def reports_at_once(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "study"
    num = 6
    names = [f"figures/{i}.png" for i in range(20)]
    pids = [forked(lambda mark=str(n): written(folder, [f"{mark}.csv", *names], mark)) for n in range(num)]  # type: ignore[misc]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    require(statuses == [0] * num, f"some could not: {statuses}")
    left = content_of(folder)
    manifest = json.loads(left.pop(MANIFEST))
    require(len(left) == 21 and set(left.values()) == {manifest["command"].encode()}, "the results are mixed")
    return Outcome(injected=num, message="one whole set of results, each writer after the other")


def killed_while_writing(bench: Bench) -> Outcome:
    """SIGKILL while results are replaced: each file is old or new, and the next write completes all."""
    place = bench.new_folder()
    folder = place / "study"
    names = [f"{i}.csv" for i in range(200)]
    written(folder, names, "old")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    times = 5
    for _ in range(times):
        began, ready = os.pipe()

        def work(ready: int = ready) -> None:
            with replacing_own_files(folder) as made:
                for name in names:
                    (made / f"new-{name}").write_text("new", encoding="utf-8")
                (made / MANIFEST).write_text(json.dumps({"command": "new"}), encoding="utf-8")
                os.write(ready, b".")

        pid = forked(work)
        os.read(began, 1)
        threading.Event().wait(bench.random.uniform(0.0, 0.01))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for descriptor in (began, ready):
            os.close(descriptor)
        left = content_of(folder)
        require(set(left.values()) <= {b"old", b"new", b"mine", left[MANIFEST]}, "a file is torn")
    written(folder, ["table.csv"], "last")
    left = content_of(folder)
    require(set(left) == {"table.csv", "notes.txt", MANIFEST}, f"stale files: {len(left)}")
    return Outcome(injected=times, message="no file is torn, and the next writing leaves nothing stale")


def optuna_refused(bench: Bench, make: Callable[[Path], object], *, is_store: bool = False) -> Outcome:
    """A file that --optuna-db must not touch."""
    folder = bench.new_folder()
    path = folder / "file.db"
    with contextlib.closing(Store(f"sqlite:///{folder / 'records.db'}")) as store:
        if is_store:
            path = folder / "records.db"
        else:
            make(path)
        before = path.read_bytes() if path.is_file() else None
        line = message_of(lambda: check_optuna_file(path, store.url))
        after = path.read_bytes() if path.is_file() else None
    require(before == after, "the file was changed")
    return Outcome(message=line.replace(str(folder) + "/", ""))


def optuna_is_text(bench: Bench) -> Outcome:
    return optuna_refused(bench, lambda path: path.write_text("mine", encoding="utf-8"))


def optuna_is_a_folder(bench: Bench) -> Outcome:
    return optuna_refused(bench, lambda path: path.mkdir())


def optuna_is_another_database(bench: Bench) -> Outcome:
    def make(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE studies (name TEXT)")

    return optuna_refused(bench, make)


def optuna_is_the_store(bench: Bench) -> Outcome:
    return optuna_refused(bench, lambda path: None, is_store=True)


def optuna_of_others(bench: Bench) -> Outcome:
    """The file has another user's study of 20 trials; two searches are written into it, one of them twice."""
    import optuna

    from tests.search.simulated import make_plan

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = bench.new_folder() / "theirs.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    theirs = optuna.create_study(storage=storage, study_name="theirs")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20)
    storage.engine.dispose()
    plans = {seed: make_plan(bench.new_folder(), "table", seed=seed) for seed in (1, 2)}
    for seed, num in ((1, 3), (2, 4), (1, 5)):
        plan, draws = plans[seed], random.Random(seed)
        rows = [
            Row(number=number, state="complete", params=plan.space.draw(draws), model="", values=(float(number),))
            for number in range(num)
        ]
        OptunaFile(path, plan.definition, plan.space).close(rows, {})
    summaries = optuna.get_all_study_summaries(f"sqlite:///{path}")
    counts = {summary.study_name: summary.n_trials for summary in summaries}
    expected = {"theirs": 20, study_name(plans[1].definition): 5, study_name(plans[2].definition): 4}
    require(counts == expected, f"there are {counts}")
    return Outcome(injected=3, message=f"trials by study: {counts}")


def searches_of_one_space(bench: Bench) -> Outcome:
    """Each search keeps its networks, which users pass to --preset."""
    from search.results.results_folder import search_folder
    from tests.search.simulated import make_plan

    out = bench.new_folder()
    plans = [make_plan(out, "table", seed=seed) for seed in range(3)]
    folders = []
    for again in range(2):
        for seed, plan in enumerate(plans):
            folder = search_folder(plan)
            folder.parent.mkdir(exist_ok=True)
            written(folder, [f"best/candidate_{seed}.json"], str(again), {"search": plan.definition.key})
            folders.append(folder)
    require(folders[:3] == folders[3:] and len(set(folders)) == 3, f"folders: {folders}")
    kept = [sorted(p.name for p in (folder / "best").iterdir()) for folder in folders[:3]]
    require(kept == [[f"candidate_{seed}.json"] for seed in range(3)], f"networks: {kept}")
    return Outcome(injected=3, message=f"folders {', '.join(sorted(f.name for f in set(folders)))}")


def umask_honoured(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "study"
    masks = (0o077, 0o007, 0o022)
    for mask in masks:
        before = os.umask(mask)
        try:
            written(folder, ["table.csv", "figures/strip.png"])
        finally:
            os.umask(before)
        modes = {p.name: p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()}
        require(set(modes.values()) == {0o666 & ~mask}, f"umask {mask:o}: {modes}")
    return Outcome(injected=len(masks), message="files have the modes that the umask leaves")
