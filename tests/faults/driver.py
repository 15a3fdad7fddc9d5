"""A run of tiny trials as `run_ablation.py` runs those of a study, in a process that can be killed.

python -m tests.faults.driver FOLDER NUM_WORKERS

Without workers the process trains itself. Every event is written to FOLDER/log, so that a trial that is trained again
after it counted as finished is seen.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from ablations.execution.events import Epoch, Event, Finished, Notice
from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.execution.local_executor import LocalExecutor
from ablations.records.store import Store, StoreError
from ablations.running.interruption import interruptible
from tests.faults.bench import Bench


def main(folder: Path, num_workers: int) -> int:
    """Run the trials to their end; return the exit status."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    tasks = Bench(folder, short=True, seed=0).tasks(folder)
    executor = LocalExecutor(num_workers=num_workers) if num_workers else SerialExecutor()
    with interruptible(["-m", "tests.faults.driver", str(folder)]):
        try:
            with closing(Store(f"sqlite:///{folder / 'records.db'}", patience_seconds=30)) as store:
                for event in execute(tasks, store, executor):
                    os.write(log, _line(event).encode())
        except StoreError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


def _line(event: Event) -> str:
    match event:
        case Finished(record, elsewhere):
            return f"{'elsewhere' if elsewhere else 'finished'} {record.key} {record.status}\n"
        case Epoch(key, row):
            return f"epoch {key} {row['epoch']}\n"
        case Notice(key, line):
            return f"notice {key} {line}\n"
        case _:
            return f"started {event.key}\n"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
