"""Faults of several drivers on one store: a trial that one has claimed is trained by no other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

from ablations.execution import claims as claiming
from ablations.execution.claims import Claims
from ablations.execution.events import Epoch, Event, Finished
from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.execution.kept_weights import find_weights
from ablations.execution.task import Task, failed
from ablations.records.store import Store, StoreError
from tests.faults.bench import Bench, Outcome, forked, require, weights_in
from tests.trials import RecordingDisplay, small_task

_ELSEWHERE = "elsewhere:boot:1:2:3:abc"


def store_of(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'records.db'}")


class Logging:
    """Trains in this process, and writes the keys that it trained to a file."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, log: Path) -> None:
        self._log = log

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for event in SerialExecutor().run(tasks):
            if isinstance(event, Finished):
                with open(self._log, "a", encoding="utf-8") as file:
                    file.write(event.record.key + "\n")
            yield event


def together(folder: Path, drive: Callable[[Store, Path], object], num: int = 2) -> list[str]:
    """Let several drivers with an output folder each work on one store at once; return the keys that were trained."""
    store_of(folder).close()

    def work(out: Path) -> None:
        with closing(store_of(folder)) as store:
            drive(store, out)

    pids = [forked(lambda out=folder / f"out-{n}": work(out)) for n in range(num)]  # type: ignore[misc]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    require(statuses == [0] * num, f"some could not: {statuses}")
    return (folder / "log").read_text(encoding="utf-8").split()


def counted(keys: list[str], wanted: set[str], message: str) -> Outcome:
    return Outcome(lost=len(wanted - set(keys)), duplicated=len(keys) - len(set(keys)), message=message)


def two_folders(bench: Bench) -> Outcome:
    """Two drivers with an output folder each."""
    folder = bench.new_folder()
    tasks = [small_task(seed, epochs=1) for seed in range(4)]

    def drive(store: Store, out: Path) -> None:
        list(execute([replace(t, trials=out / "trials") for t in tasks], store, Logging(folder / "log")))

    keys = together(folder, drive)
    return counted(keys, {task.key for task in tasks}, f"{len(keys)} trainings for {len(tasks)} trials")


def source_networks(bench: Bench) -> Outcome:
    """Two drivers that need the same trained networks, each in its own folder."""
    folder = bench.new_folder()
    tasks = [small_task(seed, epochs=1) for seed in range(2)]

    def drive(store: Store, out: Path) -> None:
        own = [replace(t, trials=out / "trials", keep_weights=out / "weights") for t in tasks]
        list(execute(own, store, Logging(folder / "log")))
        require(all(find_weights(t.key, out / "weights", store) for t in tasks), "a network is nowhere")

    keys = together(folder, drive)
    return counted(keys, {task.key for task in tasks}, f"{len(keys)} trainings for {len(tasks)} networks")


def network_lost(bench: Bench) -> Outcome:
    """The file of a network whose record is stored is gone: trained for its weights, to the same bits."""
    folder = bench.new_folder()
    task = replace(small_task(0, epochs=1), trials=folder / "a", keep_weights=folder / "weights")
    with closing(store_of(folder)) as store:
        list(execute([task], store, SerialExecutor()))
        path = folder / "weights" / f"{task.key}.safetensors"
        before = weights_in(path)
        path.unlink()
        list(execute([replace(task, trials=folder / "b")], store, SerialExecutor()))
        return Outcome(bit_equal=int(weights_in(path) == before), message="trained again for its weights alone")


def tuning(bench: Bench) -> Outcome:
    """Two drivers with `--tune` on one store."""
    from ablations.design.options import Options
    from ablations.design.plan_study import plan_study
    from ablations.execution.backend import Backend
    from ablations.running.context import Context
    from ablations.running.tuning import tune
    from ablations.studies import get_study

    folder = bench.new_folder()

    def drive(store: Store, out: Path) -> None:
        options = Options(scale="smoke", dataset="synthetic", epochs=1, train_size=32, out=out)
        plan = plan_study(get_study("residuals"), options)
        backend = Backend(executor=Logging(folder / "log"), device="cpu", own_device="cpu")
        tune(Context(plan=plan, store=store, backend=backend, display=RecordingDisplay()), num_trials=1)

    keys = together(folder, drive)
    return counted(keys, set(keys), f"{len(keys)} trainings for {len(set(keys))} tries")


def stood_still(bench: Bench) -> Outcome:
    """The claim of a suspended process of this machine has expired; the process is alive, so it keeps the claim."""
    folder = bench.new_folder()
    task = small_task(0)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"{claiming.machine_name()}:{sleeper.pid}:{claiming.start_time(sleeper.pid)}:abc"
    with closing(store_of(folder)) as store:
        require(store.claim(task.key, owner, -1), "not claimed")
        with Claims(store) as claims:
            taken = len(list(claims.claimed([task])))
            sleeper.communicate(b"\n")
            after = len(list(claims.claimed([task])))
    require(after == 1, "the claim of the dead is not taken over")
    return Outcome(injected=2, duplicated=taken, message="left to it while it lives, taken over once it is dead")


def woke_up(bench: Bench) -> Outcome:
    """A driver was suspended, and another machine took its trial: it stops training the trial, and uses the record."""
    folder = bench.new_folder()
    task = small_task(0)
    record = replace(failed(task, "trained elsewhere"), status="complete")
    lines: list[str] = []
    seen: list[Claims] = []
    trained_on = 0

    class Seen(Claims):
        def __enter__(self) -> Seen:
            seen.append(self)
            return super().__enter__()

    class Stopped:
        abilities: ClassVar[frozenset[str]] = frozenset()

        def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
            nonlocal trained_on
            for task in tasks:
                store.release_claims(seen[0].owner)
                require(store.claim(task.key, _ELSEWHERE, 60), "not taken over")
                seen[0]._look_for_lost()
                store.put(record)
                yield Epoch(task.key, {"epoch": 1})
                trained_on += 1

    with closing(store_of(folder)) as store, mock.patch("ablations.execution.execute.Claims", Seen):
        events = list(execute([task], store, Stopped(), lines.append))
    last = events[-1]
    require(isinstance(last, Finished) and last.elsewhere, f"ended with {last}")
    return Outcome(duplicated=trained_on, message=lines[0])


def expired_elsewhere(bench: Bench) -> Outcome:
    """A machine was lost with its claim: once that expires, this driver takes the trial."""
    folder = bench.new_folder()
    task = small_task(0)
    with closing(store_of(folder)) as store:
        require(store.claim(task.key, _ELSEWHERE, -1), "not claimed")
        with Claims(store) as claims:
            taken = len(list(claims.claimed([task])))
    return Outcome(lost=1 - taken, message="taken over")


def two_searches(bench: Bench) -> Outcome:
    """Two drivers of one search: the second waits, and continues where the first ended."""
    from search.engine.drivers import only_driver
    from tests.search.simulated import Simulated, make_plan, run_search

    folder = bench.new_folder()
    plan = make_plan(folder, "table")
    inside, most = 0, 0
    numbers: list[list[int]] = []
    guard = threading.Lock()

    def drive() -> None:
        nonlocal inside, most
        with closing(Store(f"sqlite:///{folder / 'records.db'}")) as store, only_driver(store, plan.definition.key):
            with guard:
                inside += 1
                most = max(most, inside)
            search = run_search(plan, 12, Simulated())
            with guard:
                inside -= 1
                numbers.append([row.number for row in search.rows])

    threads = [threading.Thread(target=drive) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(most == 1 and len(numbers) == 3, f"{most} drivers at once, {len(numbers)} came to their end")
    require(all(found == numbers[0] for found in numbers), "the ledger has other suggestions")
    return Outcome(injected=3, message=f"one after the other, each with the same {len(numbers[0])} suggestions")


def search_woke_up(bench: Bench) -> Outcome:
    """A driver of a search was suspended, and another machine took its trial: it uses the record, and does nothing
    else.
    """
    from search.engine.optimize import Search
    from tests.search.simulated import StoodStill, make_plan

    folder = bench.new_folder()
    seen: list[Claims] = []
    lines: list[str] = []

    class Seen(Claims):
        def __enter__(self) -> Seen:
            seen.append(self)
            return super().__enter__()

    with closing(store_of(folder)) as store, mock.patch("search.engine.optimize.Claims", Seen):
        executor = StoodStill(store, seen)
        search = Search(make_plan(folder, "table"), store, device="cpu", threads=1, say=lines.append)
        search.run(executor, 4)
        kept = store.get([row.keys[0] for row in search.rows])
    require(search.states == {"complete": 4} and search.num_trained == 3, f"{search.states}")
    require(executor.stolen is not None and kept[executor.stolen.key].val_accuracy == 0.77, "another record")
    return Outcome(duplicated=len(executor.trained) - len(set(executor.trained)), message=lines[0])


def search_taken_over(bench: Bench) -> Outcome:
    """A search that allows one driver was suspended, and another machine took it over: it stops."""
    from search.engine.drivers import only_driver
    from search.engine.optimize import Search
    from tests.search.simulated import ELSEWHERE, Simulated, StoodStill, make_plan, run_search

    folder = bench.new_folder()
    plan, message = make_plan(folder, "table"), ""
    with closing(store_of(folder)) as store:
        with only_driver(store, plan.definition.key) as alone:
            executor = StoodStill(store, [alone])
            try:
                Search(plan, store, device="cpu", threads=1).run(executor, 4, alone)
            except StoreError as error:
                message = str(error)
        store.release_claims(ELSEWHERE)
    require(message != "", "it continued at the same time as the other")
    after = run_search(plan, 4, Simulated())
    return Outcome(
        lost=4 - after.states["complete"],
        duplicated=len(executor.trained) - 1,
        message=message.replace(str(folder), "FOLDER"),
    )
