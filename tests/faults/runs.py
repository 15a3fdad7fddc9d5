"""Faults of a whole run: killed, interrupted, started twice, out of space, out of reach.

One module, since all faults of a run share the process that they disturb.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from ablations.records.record import Record
from ablations.records.store import Store
from tests.command import run_folder
from tests.faults import driver
from tests.faults.bench import (
    NUM_TRIALS,
    ROOT,
    Bench,
    LeftOutError,
    Outcome,
    forked,
    last_line,
    require,
    small_disk,
    spawn,
)

TIMEOUT = 600
ATTEMPTS = 10  # attempts to send a signal before a run ends


def start(folder: Path, num_workers: int = 2) -> subprocess.Popen[str]:
    return spawn("-m", "tests.faults.driver", str(folder), str(num_workers))


def ended(process: subprocess.Popen[str], status: int) -> str:
    """The standard error of a run, which must have ended with a status and without a traceback."""
    _, err = process.communicate(timeout=TIMEOUT)
    require(process.returncode == status, f"exit status {process.returncode} instead of {status}: {last_line(err)}")
    require("Traceback" not in err, f"a traceback: {last_line(err)}")
    return err


def read_log(folder: Path) -> list[list[str]]:
    path = folder / "log"
    return [line.split(" ", 2) for line in path.read_text().splitlines()] if path.is_file() else []


def await_log(folder: Path, word: str, process: subprocess.Popen[str]) -> None:
    """Wait until a line of the log begins with a word."""
    deadline = time.monotonic() + TIMEOUT
    while not any(line[0] == word for line in read_log(folder)):
        require(process.poll() is None and time.monotonic() < deadline, f"no line {word!r} in the log")
        select.select([], [], [], 0.01)


def num_duplicated(folder: Path) -> int:
    """Trials of which an epoch was trained after they had finished; failed ones are supposed to be retried."""
    done: set[str] = set()
    again: set[str] = set()
    for word, key, *more in read_log(folder):
        if word == "finished" and more != ["failed"]:
            done.add(key)
        elif word == "epoch" and key in done:
            again.add(key)
    return len(again)


def records_of(folder: Path) -> dict[str, Record]:
    with closing(Store(f"sqlite:///{folder / 'records.db'}")) as store:
        store.check()
        return store.get()


def judged(bench: Bench, folder: Path, *, message: str = "", injected: int = 1) -> Outcome:
    """The outcome of a run that was continued to its end."""
    records = records_of(folder)
    promised = {line[1] for line in read_log(folder) if line[0] == "finished" and line[2] == "complete"}
    lost = (
        len(promised - {key for key, record in records.items() if record.status == "complete"})
        + NUM_TRIALS
        - len(records)
    )
    equal = bench.num_equal(folder, records) == NUM_TRIALS
    return Outcome(
        injected=injected,
        lost=lost,
        duplicated=num_duplicated(folder),
        bit_equal=injected if equal else 0,
        message=message,
    )


def killed_at_random(bench: Bench) -> Outcome:
    """A run that trains by itself is killed at random moments."""
    return killed_and_continued(bench, lambda folder: forked(lambda: run_alone(folder)), 5 if bench.short else 50)


def killed_with_workers(bench: Bench) -> Outcome:
    """A run is killed together with its worker at random moments."""
    return killed_and_continued(bench, lambda folder: forked(lambda: run_with_worker(folder)), 2 if bench.short else 10)


def run_alone(folder: Path) -> None:
    """In a copy of this process."""
    os.setsid()
    require(driver.main(folder, 0) == 0, "the run did not finish")


def run_with_worker(folder: Path) -> None:
    """In a copy of this process, which executes another program."""
    os.setsid()
    os.chdir(ROOT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.execv(sys.executable, [sys.executable, "-m", "tests.faults.driver", str(folder), "1"])


def killed_and_continued(bench: Bench, begin: Callable[[Path], int], times: int) -> Outcome:
    """A run is killed with all its processes at a random moment, continued, and killed again; after five times it may
    end.
    """
    bench.reference  # noqa: B018 - made before the clock runs

    def seconds_of(folder: Path) -> float:
        began = time.monotonic()
        await_end(begin(folder))
        return time.monotonic() - began

    whole = seconds_of(bench.new_folder())
    injected = lost = duplicated = equal = 0
    moments: list[int] = []
    while injected < times:
        folder = bench.new_folder()
        kills = 0
        while kills < min(5, times - injected):
            pid = begin(folder)
            if has_ended(pid, bench.random.uniform(0.0, 1.0) * whole):
                os.waitpid(pid, 0)
                whole = seconds_of(bench.new_folder())  # it finished before: the machine is less busy now
                break
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills += 1
            moments.append(sum(line[0] == "finished" for line in read_log(folder)))
        await_end(begin(folder))
        outcome = judged(bench, folder)
        injected += kills
        lost, duplicated = lost + outcome.lost, duplicated + outcome.duplicated
        equal += kills if outcome.bit_equal else 0
    shares = ", ".join(f"{moments.count(n)} times after {n}" for n in range(NUM_TRIALS + 1) if n in moments)
    message = f"killed {shares} of {NUM_TRIALS} finished trials"
    return Outcome(injected=injected, lost=lost, duplicated=duplicated, bit_equal=equal, message=message)


def has_ended(pid: int, seconds: float) -> bool:
    """Whether a child process, the leader of its group, ends within a time."""
    while os.getpgid(pid) != pid:
        select.select([], [], [], 0.001)
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def await_end(pid: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    require(status == 0, f"a run that nothing disturbed ended with {status}")


def parent_killed(bench: Bench) -> Outcome:
    """SIGKILL reaches the parent alone; its workers must not continue."""
    folder = bench.new_folder()
    process = start(folder)
    await_log(folder, "epoch", process)
    process.kill()
    process.communicate(timeout=TIMEOUT)
    ended(start(folder, 1), 0)
    return judged(bench, folder, message="the workers went with their parent")


def interrupted(bench: Bench, number: int, *, to_group: bool) -> Outcome:
    """A signal that ends a run cleanly; if the run ended before the signal arrived, nothing was injected, and it is
    started again.
    """
    for _ in range(ATTEMPTS):
        folder = bench.new_folder()
        process = start(folder)
        await_log(folder, "epoch", process)
        with suppress(ProcessLookupError):
            (os.killpg if to_group else os.kill)(process.pid, number)
        if process.wait(TIMEOUT) != 0:
            break
    message = last_line(ended(process, 130))
    require("Continue with: python -m tests.faults.driver" in message, f"no line that continues: {message}")
    ended(start(folder, 1), 0)
    return judged(bench, folder, message="Interrupted; what was finished is stored. Continue with: ...")


def terminated(bench: Bench) -> Outcome:
    return interrupted(bench, signal.SIGTERM, to_group=False)


def interrupted_by_key(bench: Bench) -> Outcome:
    return interrupted(bench, signal.SIGINT, to_group=True)


def hung_up(bench: Bench) -> Outcome:
    return interrupted(bench, signal.SIGHUP, to_group=True)


def interrupted_twice(bench: Bench) -> Outcome:
    """A second Ctrl-C while the run is being stopped: at once, with the line, without a traceback."""
    folder = bench.new_folder()
    process = start(folder)
    await_log(folder, "epoch", process)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    message = last_line(ended(process, 130))
    require("Continue with:" in message, f"no line that continues: {message}")
    ended(start(folder, 1), 0)
    return judged(bench, folder, message="Interrupted; what was finished is stored. Continue with: ...")


def suspended(bench: Bench) -> Outcome:
    """SIGSTOP and SIGCONT to the whole group, as Ctrl-Z and fg."""
    folder = bench.new_folder()
    process = start(folder)
    await_log(folder, "epoch", process)
    os.killpg(process.pid, signal.SIGSTOP)
    select.select([], [], [], 2.0)
    os.killpg(process.pid, signal.SIGCONT)
    ended(process, 0)
    notices = [line for line in read_log(folder) if line[0] == "notice"]
    require(not notices, f"a worker was declared lost: {notices}")
    return judged(bench, folder, message="continues as if undisturbed")


def started_twice(bench: Bench) -> Outcome:
    """Two runs of the same study on one store at once."""
    folder = bench.new_folder()
    runs = [start(folder, 1), start(folder, 1)]
    for process in runs:
        ended(process, 0)
    times = [sum(line[:2] == ["finished", key] for line in read_log(folder)) for key in records_of(folder)]
    outcome = judged(bench, folder, injected=1, message=f"each trial was trained {times} times")
    return Outcome(**{**vars(outcome), "duplicated": outcome.duplicated + sum(n > 1 for n in times)})


def two_stores_one_folder(bench: Bench) -> Outcome:
    """Two runs that share the folders of their trials, but have separate stores."""
    folder = bench.new_folder()
    other = bench.new_folder()
    (other / "trials").symlink_to(folder / "trials", target_is_directory=True)
    (other / "weights").symlink_to(folder / "weights", target_is_directory=True)
    (folder / "trials").mkdir()
    (folder / "weights").mkdir()
    for process in [start(folder, 1), start(other, 1)]:
        ended(process, 0)
    last = [line[1] for f in (folder, other) for line in read_log(f) if line[0] == "epoch" and line[2] == "8"]
    twice = sum(last.count(key) > 1 for key in set(last))
    outcome = judged(bench, folder)
    both = bench.num_equal(folder, records_of(other)) == NUM_TRIALS and outcome.bit_equal
    message = "waits for the other's lock, takes its record"
    return Outcome(lost=outcome.lost, duplicated=outcome.duplicated + twice, bit_equal=int(bool(both)), message=message)


def disk_full(bench: Bench) -> Outcome:
    """The disk of the whole output folder fills up, the store included; after space is freed the same command
    continues.
    """
    with small_disk(bench.folder / "full", "3m") as disk:
        ballast = disk / "ballast"
        folder = disk / "out"
        folder.mkdir()
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - 200_000))
        process = start(folder)
        message = last_line(ended(process, 2))
        require("--store: " in message, f"no word of the store: {message}")
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True, capture_output=True)
        ended(start(folder, 1), 0)
        return judged(bench, folder, message=message.partition("cannot be used: ")[2] or message)


def file_size_limited(bench: Bench) -> Outcome:
    """`ulimit -f`: no file may grow beyond 100 kB, so checkpoints, weights and the store cannot be written."""
    folder = bench.new_folder()
    limit = (100_000, 100_000)
    process = spawn(
        "-m",
        "tests.faults.driver",
        str(folder),
        "1",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    _, err = process.communicate(timeout=TIMEOUT)
    require("Traceback" not in err, f"a traceback: {last_line(err)}")
    told = [line[2] for line in read_log(folder) if line[0] == "notice"]
    require(any("no checkpoint could be written" in line for line in told) or bool(err.strip()), "nothing was said")
    ended(start(folder, 1), 0)
    return judged(bench, folder, message=last_line(err) or told[0])


def ablate(*words: str, expect: int) -> str:
    return ended(
        spawn("run_ablation.py", "--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", *words), expect
    )


def read_only(bench: Bench) -> Outcome:
    with small_disk(bench.folder / "read-only", "1m", read_only=True) as disk:
        err = ablate("--out", str(disk / "out"), expect=2)
    require(err.count("\n") == 1, f"more than a line: {err}")
    return Outcome(message=err.strip().replace(str(bench.folder), ""))


def nobody_listens(bench: Bench) -> Outcome:
    """The output of a run goes into a closed pipe, as with `| head`: it may stop, but nothing is lost."""
    folder = bench.new_folder()
    words = ("--train-size", "128", "--epochs", "1", "--seeds", "1", "--out", str(folder))
    process = spawn("run_ablation.py", "--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", *words)
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=TIMEOUT)
    before = {key for key, record in records_of(folder).items() if record.is_final}
    ablate(*words, expect=0)
    after = records_of(folder)
    runs = (run_folder(folder, "residuals") / "provenance.json").read_text()
    require(json.loads(runs)["num_trials"] == len(after) == 2, "the continued run is not whole")
    return Outcome(lost=len(before - set(after)), message=f"exit status {process.returncode}, continued to the end")


def interrupted_command(bench: Bench) -> Outcome:
    """Ctrl-C to the real command line while it trains, and the printed line typed in again."""
    return _interrupted_command(bench, signal.SIGINT)


def terminated_on_ray(bench: Bench) -> Outcome:
    """SIGTERM to the real command line while Ray's workers train."""
    if importlib.util.find_spec("ray") is None:
        raise LeftOutError("the package ray is not here")
    return _interrupted_command(bench, signal.SIGTERM, "--executor", "ray")


def _interrupted_command(bench: Bench, number: int, *more: str) -> Outcome:
    folder = bench.new_folder()
    words = ("--train-size", "256", "--epochs", "4", "--seeds", "1", "--workers", "1", "--out", str(folder), *more)
    process = spawn("run_ablation.py", "--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", *words)
    deadline = time.monotonic() + TIMEOUT
    while not list(folder.glob("trials/*/step-*.safetensors")):
        require(process.poll() is None and time.monotonic() < deadline, "no checkpoint appeared")
        select.select([], [], [], 0.05)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)  # a key reaches the workers too
    line = last_line(ended(process, 130))
    before = {key for key, record in records_of(folder).items() if record.is_final}
    command = line.partition("Continue with: python ")[2].split()
    err = ended(spawn(*command), 0)
    after = records_of(folder)
    require(
        len(after) == 2 and all(record.status == "complete" for record in after.values()),
        f"not continued: {last_line(err)}",
    )
    return Outcome(lost=len(before - set(after)), message=line.replace(str(folder), "OUT"))
