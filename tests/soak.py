"""Many tiny trials in one run while workers are killed at random: memory and file handles stay constant, and every key
ends exactly once.

python -m tests.soak [--trials 500] [--kills 25] [--workers 2]
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from ablations.execution.events import Finished, Started
from ablations.execution.execute import execute
from ablations.execution.local_executor import LocalExecutor
from ablations.records.store import Store
from tests.trials import small_task

MOST_GROWTH_MB = 16.0
MOST_MORE_HANDLES = 4


def resident_mb(pid: int) -> float:
    """Memory of a process that is not shared with files, in MB; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run the trials, print the measurements, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    began = time.monotonic()
    starts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    parent: list[float] = []
    handles: list[int] = []
    workers: list[float] = []
    num_kills = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["XCEPTION_CACHE"] = str(Path(folder, "cache"))
        tasks = [dataclasses.replace(small_task(seed), trials=Path(folder, "trials")) for seed in range(options.trials)]
        kill_at = set(rng.sample(range(options.trials), options.kills))
        with closing(Store(f"sqlite:///{folder}/records.db")) as store:
            for event in execute(tasks, store, LocalExecutor(num_workers=options.workers, retries=5)):
                pids = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
                if isinstance(event, Started):
                    starts[event.key] += 1
                    if len(starts) - 1 in kill_at:
                        kill_at.discard(len(starts) - 1)
                        num_kills += 1
                        os.kill(rng.choice(pids), signal.SIGKILL)
                if isinstance(event, Finished):
                    ends[event.record.key] += 1
                    parent.append(resident_mb(os.getpid()))
                    handles.append(len(os.listdir("/proc/self/fd")))
                    workers.append(max((resident_mb(pid) for pid in pids), default=0.0))
            records = store.get()
            store.check()
    tenth = max(options.trials // 10, 1)
    early, late = slice(tenth, 2 * tenth), slice(-tenth, None)
    (first, last), (worker_first, worker_last) = (
        (statistics.median(mb[early]), statistics.median(mb[late])) for mb in (parent, workers)
    )
    more_handles = max(handles[late]) - max(handles[early])
    complete = sum(record.status == "complete" for record in records.values())
    once = set(ends.values()) == {1} and len(ends) == options.trials
    print(
        f"{options.trials} trials, {num_kills} workers killed, {sum(starts.values())} starts,"
        f" {time.monotonic() - began:.0f} s"
    )
    print(f"records: {len(records)}, complete: {complete}, each key ended once: {once}")
    print(f"parent: {first:.1f} MB early, {last:.1f} MB late ({last - first:+.1f})")
    print(f"largest worker: {worker_first:.1f} MB early, {worker_last:.1f} MB late ({worker_last - worker_first:+.1f})")
    print(f"file handles: {max(handles[early])} early, {max(handles[late])} late")
    is_flat = max(last - first, worker_last - worker_first) <= MOST_GROWTH_MB and more_handles <= MOST_MORE_HANDLES
    return int(not (is_flat and once and complete == options.trials))


if __name__ == "__main__":
    sys.exit(main())
