"""`--resume-from KEY`: train a trial for more epochs, as a new trial."""

from __future__ import annotations

import sys

from ablations.commands.run import run_plan
from ablations.commands.show import find_record
from ablations.design.options import Options
from ablations.design.resumed import epoch_to_continue_from, plan_resumed
from ablations.design.trial import read_trial
from ablations.records.databases import file_of
from ablations.records.store import Store
from ablations.running.context import check_options

__all__ = ["resume"]


def resume(key: str, options: Options, *, dry_run: bool = False, again: str = "") -> int:
    """Continue a trial and print the table of both; return the exit status. `again` is the command as it was typed.

    Raises:
        ValueError: the store has no such trial, it cannot be continued, or an option or the data does not fit.
    """
    check_options(options)
    database = file_of(options.store_url)
    if database is not None and not database.is_file():
        raise ValueError(f"--store: {database} does not exist; the store that holds {key[:12]}")
    store = Store(options.store_url)
    try:
        record = find_record(store, key, "--resume-from")
        commands = [p.description.command for p in store.plans(key=record.key)]
    finally:
        store.close()
    if record.status != "complete":
        raise ValueError(f"--resume-from: {record.key[:12]} is {record.status}; allowed: a complete trial")
    plan = plan_resumed(record.trial, options, commands[0] if commands else "", again)
    epoch = epoch_to_continue_from(read_trial(record.trial))
    state = options.out / "trials" / record.key / "state"
    if not state.is_dir():
        print(
            f"The state of {record.key[:12]} after epoch {epoch} is not in {state}: the whole training is done again,"
            " to the same bits. --keep-weights keeps it.",
            file=sys.stderr,
        )
    return run_plan(plan, dry_run=dry_run, again=again)
