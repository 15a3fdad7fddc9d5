"""The fault matrix: each fault is injected for real; counts of trials lost, trained twice, or with different bits.

python -m tests.faults [--short] [--part K/N] [--only WORDS] [--json]

The short form leaves out what takes long or is also injected by another test of the default suite. The long form kills
a study sixty times and takes about a quarter of an hour on an idle machine. The exit status is 1 if a promise was
broken.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.faults import checkpoints, drivers, hostile, others, places, runs, stores, use, workers
from tests.faults.bench import Bench, Fault, LeftOutError, Outcome, UnexpectedError

FAULTS = (
    Fault("checkpoint: truncated", checkpoints.truncated),
    Fault("checkpoint: bit flipped", checkpoints.bit_flipped),
    Fault("checkpoint: both emptied", checkpoints.all_damaged),
    Fault("checkpoint: pickle that runs a command", checkpoints.pickled),
    Fault("checkpoint: SIGKILL while saving", checkpoints.killed_while_saving),
    Fault("checkpoint: disk full (tmpfs)", checkpoints.disk_full),
    Fault("checkpoint: read-only disk", checkpoints.disk_read_only),
    Fault("checkpoint: ulimit -f", checkpoints.file_size_limited),
    Fault("checkpoint: of another config", checkpoints.other_training),
    Fault("checkpoint: of other semantics", checkpoints.other_semantics),
    Fault("checkpoint: other number of threads", checkpoints.other_threads),
    Fault("checkpoint: on another CPU capability", checkpoints.other_cpu),
    Fault("training: loss is NaN", checkpoints.diverged),
    Fault("record: bit flipped beside the checkpoint", hostile.record_damaged),
    Fault("record: with a field of a later version", stores.record_of_later_version),
    Fault("record: without a field of this version", stores.record_of_earlier_version),
    Fault("record: whole, and not understood", stores.record_not_understood),
    Fault("rebuild: nothing is found", stores.nothing_to_rebuild),
    Fault("store: lock held for a second", stores.locked_for_a_time),
    Fault("store: lock held for ever", stores.locked_for_ever),
    Fault("store: made by 8 processes at once", stores.created_at_once),
    Fault("store: SIGKILL while writing", stores.killed_while_writing),
    Fault("store: truncated", stores.truncated),
    Fault("store: page overwritten", stores.page_overwritten),
    Fault("store: bit flipped in a curve", stores.bit_flipped),
    Fault("store: no database", stores.no_database),
    Fault("store: of a later version", stores.later_version),
    Fault("store: of version 1", stores.migrated),
    Fault("store: planned by a clock a day ahead", stores.clock_ahead),
    Fault("store: removed or replaced in use", stores.removed),
    Fault("store: of another user, read-only", stores.read_only),
    Fault("store: disk full (tmpfs)", stores.disk_full),
    Fault("store: failed, complete, failed again", stores.failed_then_final),
    Fault("data: pickle that runs a command", hostile.pickle_in_data),
    Fault("data: archive that writes elsewhere", hostile.archive_members),
    Fault("data: download with another hash", hostile.wrong_hash),
    Fault("data: downloads at once", hostile.downloads_at_once),
    Fault("data: cache truncated, bit flipped", hostile.cache_damaged),
    Fault("weights: pickle that runs a command", hostile.pickle_in_weights),
    Fault("tables: names that are code", hostile.hostile_names),
    Fault("drivers: two on one store, two folders", drivers.two_folders),
    Fault("drivers: two that tune", drivers.tuning),
    Fault("drivers: two that need source networks", drivers.source_networks),
    Fault("drivers: a source network is lost", drivers.network_lost),
    Fault("drivers: one stopped beyond its claim", drivers.stood_still),
    Fault("drivers: one woke up without its claim", drivers.woke_up),
    Fault("drivers: one lost with its machine", drivers.expired_elsewhere),
    Fault("drivers: several of one search", drivers.two_searches),
    Fault("drivers: one of a search woke up", drivers.search_woke_up),
    Fault("drivers: a search was taken over", drivers.search_taken_over),
    Fault("files: notes among the results", others.notes_in_results),
    Fault("files: results of somebody else's", others.results_of_others),
    Fault("files: an overview of somebody else's", use.overview_of_others),
    Fault("files: a folder where a file goes", others.folder_for_file),
    Fault("files: a link in place of a table", others.link_in_results),
    Fault("files: a list that names others'", others.manifest_names_others),
    Fault("files: several reports at once", others.reports_at_once),
    Fault("files: SIGKILL while results are replaced", others.killed_while_writing),
    Fault("files: searches of one space", others.searches_of_one_space),
    Fault("files: umask", others.umask_honoured),
    Fault("optuna: a text file", others.optuna_is_text),
    Fault("optuna: a folder", others.optuna_is_a_folder),
    Fault("optuna: another database", others.optuna_is_another_database),
    Fault("optuna: the store itself", others.optuna_is_the_store),
    Fault("optuna: studies of others", others.optuna_of_others, is_short=False),
    Fault("name: a study that is a path", use.study_is_a_path),
    Fault("name: a study called as our own files", use.study_is_reserved),
    Fault("name: a variant that is no line", use.variant_is_no_line),
    Fault("name: an output folder with ? % #", use.out_has_signs),
    Fault("name: bytes that are not UTF-8", use.not_text),
    Fault("name: a store that is none", use.no_such_store),
    Fault("number: larger than any machine", use.numbers_too_large),
    Fault("number: too many threads", use.threads_too_many),
    Fault("network: of a thousand million modules", use.network_too_deep),
    Fault("network: wider than any memory", use.network_too_wide),
    Fault("network: that no memory holds", places.network_that_no_memory_holds, is_short=False),
    Fault("place: a pipe for a file", use.file_is_a_pipe),
    Fault("place: a file without an end", use.file_is_endless),
    Fault("place: a file for the cache", use.cache_is_a_file),
    Fault("place: a file for the output folder", use.out_is_a_file),
    Fault("place: a file system without locks", use.no_locks),
    Fault("place: Windows", use.on_windows),
    Fault("place: a notebook's backend", places.backend_of_a_notebook, is_short=False),
    Fault("place: a Chinese locale", places.locale_chinese, is_short=False),
    Fault("place: a Japanese locale", places.locale_japanese, is_short=False),
    Fault("place: a Western locale", places.locale_western),
    Fault("place: closed streams and a signal", places.streams_closed, is_short=False),
    Fault("place: a script without a main guard", places.no_main_guard, is_short=False),
    Fault("read: an image without permission", places.image_not_permitted),
    Fault("read: an image on a broken disk", places.image_disk_broken),
    Fault("read: too many open files", places.too_many_files),
    Fault("read: no memory for a file", places.no_memory_for_a_file),
    Fault("read: no memory for pixels", places.no_memory_for_pixels),
    Fault("read: chmod 000 on a class", places.class_not_permitted),
    Fault("read: ulimit -n", places.descriptors_run_out),
    Fault("worker: SIGKILL", workers.killed, is_short=False),
    Fault("worker: SIGTERM", workers.terminated, is_short=False),
    Fault("worker: SIGSEGV", workers.crashed, is_short=False),
    Fault("worker: SIGSTOP, for ever", workers.hung, is_short=False),
    Fault("worker: SIGSTOP and SIGCONT", workers.suspended, is_short=False),
    Fault("worker: SIGKILL at every attempt", workers.killed_every_time, is_short=False),
    Fault("worker: over its time limit", workers.over_time, is_short=False),
    Fault("worker: out of memory (ulimit -v)", workers.out_of_memory, is_short=False),
    Fault("worker: out of GPU memory", workers.out_of_gpu_memory, is_short=False),
    Fault("run: SIGKILL at a random moment", runs.killed_at_random),
    Fault("run: SIGKILL with its worker", runs.killed_with_workers, is_short=False),
    Fault("run: SIGKILL of the parent alone", runs.parent_killed, is_short=False),
    Fault("run: SIGTERM", runs.terminated, is_short=False),
    Fault("run: Ctrl-C", runs.interrupted_by_key),
    Fault("run: Ctrl-C twice", runs.interrupted_twice, is_short=False),
    Fault("run: terminal closed", runs.hung_up, is_short=False),
    Fault("run: SIGSTOP and SIGCONT of all", runs.suspended, is_short=False),
    Fault("run: started twice on one store", runs.started_twice, is_short=False),
    Fault("run: two stores, the same trial folders", runs.two_stores_one_folder, is_short=False),
    Fault("run: disk full (tmpfs)", runs.disk_full, is_short=False),
    Fault("run: ulimit -f", runs.file_size_limited, is_short=False),
    Fault("run: read-only output folder", runs.read_only),
    Fault("run: output into a closed pipe", runs.nobody_listens, is_short=False),
    Fault("run: Ctrl-C to a real study", runs.interrupted_command, is_short=False),
    Fault("run: SIGTERM to a real study on Ray", runs.terminated_on_ray, is_short=False),
)


def main() -> int:
    """Inject the faults and print the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Inject faults and count what was lost."
    )
    parser.add_argument("--short", action="store_true", help="the faults that take little time, few times each")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name holds these words")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="each N-th of these faults, from the K-th on")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    options = parser.parse_args()
    part, num_parts = map(int, options.part.split("/"))
    chosen = [fault for fault in FAULTS if options.only in fault.name and (fault.is_short or not options.short)]
    import torch

    torch.set_num_threads(1)
    # In the background of a script, or under nohup, these signals are ignored, and the runs that they are sent to would
    # inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ["XCEPTION_CACHE"] = str(Path(folder, "cache"))
        if not options.json:
            print(f"{'fault':<42} injected lost duplicated bit-equal  message")
        bench = Bench(Path(folder), short=options.short, seed=options.seed)
        for fault in chosen[part - 1 :: num_parts]:
            rows.append(_row(fault, bench))
            if not options.json:
                _print(rows[-1])
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(_summary(rows))
    return int(any(row["lost"] or row["duplicated"] or row["broken"] for row in rows))


def _row(fault: Fault, bench: Bench) -> dict[str, object]:
    began = time.monotonic()
    broken = False
    try:
        outcome = fault.inject(bench)
        broken = outcome.bit_equal is not None and outcome.bit_equal != outcome.injected
    except LeftOutError as left_out:
        outcome = Outcome(injected=0, message=f"left out: {left_out}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it breaks the promise, and the other faults are still to come
        name = "" if isinstance(error, UnexpectedError) else f"{type(error).__name__}: "
        outcome, broken = Outcome(message=f"{name}{' '.join(str(error).split())}"), True
    seconds = round(time.monotonic() - began, 1)
    return {"fault": fault.name, **vars(outcome), "broken": broken, "seconds": seconds}


def _print(row: dict[str, object]) -> None:
    equal = "" if row["bit_equal"] is None else f"{row['bit_equal']}/{row['injected']}"
    mark = "BROKEN: " if row["broken"] else ""
    counts = f"{row['injected']:>8} {row['lost']:>4} {row['duplicated']:>10} {equal:>9}"
    print(f"{row['fault']:<42} {counts}  {mark}{str(row['message'])[:160]}", flush=True)


def _summary(rows: list[dict[str, object]]) -> str:
    injected = sum(int(str(row["injected"])) for row in rows)
    lost, twice = (sum(int(str(row[name])) for row in rows) for name in ("lost", "duplicated"))
    kinds = sum(row["injected"] != 0 for row in rows)
    broken = sum(bool(row["broken"]) for row in rows)
    return (
        f"{kinds} kinds of fault, injected {injected} times: {lost} lost, {twice} trained twice, {broken} promises"
        " broken"
    )


if __name__ == "__main__":
    sys.exit(main())
