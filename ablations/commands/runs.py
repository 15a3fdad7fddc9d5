"""`python -m ablations runs | compare | prune`: the runs of a store."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ablations.records.store import Store

__all__ = ["compare_runs", "list_runs", "prune_runs"]


def list_runs(store: Store, *, as_json: bool) -> int:
    """Print every run of a store, the latest first; return the exit status."""
    from ablations.analysis.frame import named_runs
    from ablations.design.setup import setup_sentence
    from ablations.reporting.runs import described_run

    rows = [described_run(store, plan) for plan in named_runs(store)]
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    width = max(60, shutil.get_terminal_size().columns)
    for row in rows:
        pairs = "no results yet" if row["n"] is None else f"{row['n']} pairs"
        counts = ", ".join(f"{number} {status}" for status, number in row["statuses"].items())
        print(f"{row['run']}  ({row['when'][:16]})")
        words = [f"{row['study']} on {row['dataset']}; {pairs}; trials: {counts}.", setup_sentence(row["setup"])]
        found = [f"{variant}: {verdict}" for variant, verdict in row["verdicts"].items() if verdict != "baseline"]
        words.append(f"Verdicts: {'; '.join(found)}." if found else "")
        for text in words:
            if text:
                print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    "))
    if not rows:
        print(f"{store.name} holds no runs", file=sys.stderr)
    return 0


def compare_runs(store: Store, names: Sequence[str], *, out: Path, as_json: bool) -> int:
    """Compare runs in one table and figure; return the exit status.

    Raises:
        ValueError: fewer than two runs are named, or the store has no run of a name.
    """
    from ablations.analysis.frame import named_runs
    from ablations.reporting.runs import write_comparison_of_runs

    known = {plan.run: plan for plan in named_runs(store)}
    for name in names:
        if name not in known:
            from xception.base.suggestions import did_you_mean

            there = ", ".join(known) or "none"
            raise ValueError(
                f"compare: {name!r} is not a run in {store.name}; runs: {there}{did_you_mean(name, known)}"
            )
    if len(set(names)) < 2:
        raise ValueError("compare: two or more runs are needed; python -m ablations runs lists them")
    plans = [known[name] for name in dict.fromkeys(names)]
    folder = out / f"compare-{'-and-'.join(plan.run for plan in plans)}"
    if len(folder.name) > 110:
        folder = out / f"compare-{len(plans)}-runs-{plans[0].plan[:6]}{plans[-1].plan[:6]}"
    out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "ablations", "compare", *names])
    table = write_comparison_of_runs(store, plans, folder, command=command)
    if as_json:
        print(table.to_json(orient="records", indent=1))
    else:
        print((folder / "compare.md").read_text(encoding="utf-8"))
    print(f"Results: {folder}", file=sys.stderr)
    return 0


def prune_runs(store: Store, names: Sequence[str], *, out: Path, yes: bool, as_json: bool) -> int:
    """List what the removal of runs removes, and remove it with `yes`; return the exit status.

    Only our own files are removed from folders.

    Raises:
        ValueError: no run is named, or the store has no run of a name.
    """
    from ablations.records.prune_runs import plan_pruning, prune
    from ablations.reporting.own_files import own_files, remove_own_files

    if not names:
        raise ValueError("prune: no run is named; python -m ablations runs lists them")
    pruning = plan_pruning(store, names)
    folders = [out / name for name in dict.fromkeys(names) if own_files(out / name)]
    trials = [out / "trials" / key for key in pruning.keys if (out / "trials" / key).is_dir()]
    found = {
        "runs": sorted({plan.run for plan in pruning.plans}),
        "records": list(pruning.keys),
        "records_that_stay": pruning.shared,
        "folders": [str(folder) for folder in folders],
        "trial_folders": len(trials),
        "removed": yes,
    }
    if yes:
        prune(store, pruning)
        for folder in folders:
            remove_own_files(folder)
        for folder in trials:
            shutil.rmtree(folder)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 0
    verb = "Removed" if yes else "Would remove"
    print(
        f"{verb} {', '.join(pruning.plans[i].run for i in range(len(pruning.plans)))}: {len(pruning.keys)} records that"
        f" nothing else needs, {len(trials)} trial folders, our files in {len(folders)} results folders;"
        f" {pruning.shared} records stay, as other runs or searches need them"
    )
    if not yes:
        print("Nothing was removed; add --yes to do it.", file=sys.stderr)
    return 0
