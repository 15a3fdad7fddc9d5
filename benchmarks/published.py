"""Regenerate the published results from the published records: tables, figures, and the family of all verdicts.

    python -m benchmarks.published
    python -m benchmarks.published --add results/local/residuals --name residuals_cpu

The folders below `results/` that hold a run keep their plan in `provenance.json`; each is written again from the
records in `results/records*.jsonl`, and nothing is trained. Latencies stay those of the folder, which were measured
together. A run in several settings has a folder for each below its own. `results/together.md` and `.csv` hold the
studies that share a baseline, as one family. `--add` publishes a finished run, of a study in one setting or in several:
its folder, and a file of the records that no other file has; other folders stay unchanged, except for what is read
together. `results/README.md` is the index.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from ablations.analysis.families import page_comparisons
from ablations.analysis.frame import plan_frame
from ablations.records.record import StoredPlan, with_version
from ablations.records.store import Store
from ablations.records.transfer_records import export_file, import_file
from ablations.reporting.extras import write_extras
from ablations.reporting.figures import save_figures, study_figures
from ablations.reporting.markup import to_markdown
from ablations.reporting.report_tables import page_table
from ablations.reporting.results_folder import comparison_with_costs
from ablations.reporting.settings_results import write_settings
from ablations.reporting.tables import csv_text, write_runs, write_tables
from benchmarks.published_index import index_page
from xception.base.command_line import parse, refuse
from xception.base.files import write_atomically

__all__ = ["add", "in_order", "open_published", "publish", "published_plans", "published_settings"]

KEPT = ("table.csv", "table.md", "table.tex")
OF_SETTINGS = ("settings.csv", "settings.md", "settings.tex", "pooled.csv", "trends.csv", "decisions.csv")
_OF_A_MACHINE = re.compile(r" --(?:store|out|workers|yes)\b(?: (?!--)(?:'[^']*'|\S+))?")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the published tables and figures again from their records, or add a run to them."""

    results: Annotated[Path, "Folder of published results."] = Path("results")
    add: Annotated[Path | None, "Folder of a finished run to publish."] = None
    name: Annotated[str, "Name of the published folder: with --add the new one, else the one to write again."] = ""
    store: Annotated[str, "Database that has the run's records."] = "sqlite:///results/local/records.db"


def open_published(results: Path, scratch: Path) -> Store:
    """Return a store below `scratch` with all published records."""
    store = Store(f"sqlite:///{scratch / 'published.db'}")
    for path in sorted(results.glob("records*.jsonl")):
        import_file(path, store)
    return store


def published_plans(results: Path, store: Store) -> list[tuple[StoredPlan, Path]]:
    """Return the plans of the published runs of one setting with their folders, those of settings left out."""
    return _found(store, results.glob("*/provenance.json"))


def published_settings(results: Path, store: Store) -> dict[Path, list[tuple[StoredPlan, Path]]]:
    """Return the published runs in several settings: each folder with the plan and the folder of each setting."""
    tops = [path.parent for path in sorted(results.glob("*/provenance.json")) if "settings" in _read(path)]
    return {top: _found(store, top.glob("*/provenance.json")) for top in tops}


def in_order(top: Path, pairs: Sequence[tuple[StoredPlan, Path]]) -> list[StoredPlan]:
    """Return the plans of a run's settings in the order of the command."""
    order = [about["plan"] for about in _read(top / "provenance.json")["settings"]]
    return sorted((plan for plan, _ in pairs), key=lambda plan: order.index(plan.plan))


def publish(results: Path, name: str | None = None) -> list[str]:
    """Write every folder of a run below `results` again, or the one named, and the studies read together; return the
    names.
    """
    with tempfile.TemporaryDirectory() as scratch, closing(open_published(results, Path(scratch))) as store:
        alone = published_plans(results, store)
        several = {top: pairs for top, pairs in published_settings(results, store).items() if name in (None, top.name)}
        shown = [pair for pair in alone if name in (None, pair[1].name)]
        for plan, folder in shown:
            save_figures(study_figures(*_write(store, plan, folder, Path(scratch))), folder / "figures")
        for top, pairs in several.items():
            for plan, folder in pairs:  # figures are drawn for the run as a whole
                _write(store, plan, folder, Path(scratch))
            made = write_settings(store, in_order(top, pairs), Path(scratch)).folder
            for name in OF_SETTINGS:
                shutil.copyfile(made / name, top / name)
            shutil.copytree(made / "figures", top / "figures", dirs_exist_ok=True)
        together = page_comparisons([plan_frame(store, plan) for plan, _ in alone])
        write_atomically(results / "together.csv", csv_text(together))
        write_atomically(results / "together.md", to_markdown(page_table(together)))
    write_atomically(results / "README.md", index_page(results))
    return sorted([folder.name for _, folder in shown] + [top.name for top in several])


def add(run: Path, name: str, store: Store, results: Path) -> None:
    """Publish a finished run: its provenance and costs as the folder `name`, and those of its records that no file has.

    Raises:
        ValueError: the name is taken by another run, or the store does not have the run.
    """
    target = results / name
    about = _read(run / "provenance.json")
    if (target / "provenance.json").exists() and _read(target / "provenance.json")["study"] != about["study"]:
        raise ValueError(f"--name: {name} is the folder of another study")
    parts = [PathPair(run, target)]
    if "settings" in about:
        parts = [PathPair(p.parent, target / p.parent.name) for p in sorted(run.glob("*/provenance.json"))]
    wanted = {_read(part.source / "provenance.json")["plan"] for part in parts}
    plans = [plan for plan in store.plans() if plan.plan in wanted]
    if len(plans) != len(wanted):
        raise ValueError(f"--store: has {len(plans)} of the {len(wanted)} plans of {run}")
    with tempfile.TemporaryDirectory() as scratch, closing(Store(f"sqlite:///{scratch}/new.db")) as new:
        own = results / f"records_{name}.jsonl"
        with closing(Store(f"sqlite:///{scratch}/others.db")) as others:
            for path in sorted(results.glob("records*.jsonl")):
                if path != own:
                    import_file(path, others)
            known = others.statuses({member.key for plan in plans for member in plan.members})
        missing = {member.key for plan in plans for member in plan.members} - set(known)
        new.put_all(store.get(missing).values())
        for plan in plans:
            told = plan.description
            new.put_plan(
                replace(
                    plan,
                    description=replace(told, command=_portable(told.command), across=_portable(told.across)),
                )
            )
        export_file(new, own)
    for part in [*parts, *([PathPair(run, target)] if "settings" in about else [])]:
        part.target.mkdir(parents=True, exist_ok=True)
        said = with_version(_read_path(part.source))
        if "settings" in said:
            said |= {"command": plans[0].description.across, "setup": {p.run: p.description.setup for p in plans}}
        provenance = {key: _portable(v) if key in ("command", "across") else v for key, v in said.items()}
        text = json.dumps(provenance, indent=1, ensure_ascii=False) + "\n"
        write_atomically(part.target / "provenance.json", text)
        for kept in ("table.csv",):
            if (part.source / kept).exists():
                shutil.copyfile(part.source / kept, part.target / kept)


@dataclass(frozen=True)
class PathPair:
    """A folder of a run and the published folder that it becomes."""

    source: Path
    target: Path


def _found(store: Store, provenances: Iterable[Path]) -> list[tuple[StoredPlan, Path]]:
    folders = {_read(path)["plan"]: path.parent for path in sorted(provenances)}
    return [(plan, folders[plan.plan]) for plan in store.plans() if plan.plan in folders]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _read_path(folder: Path) -> dict[str, Any]:
    return _read(folder / "provenance.json")


def _portable(command: str) -> str:
    """The command without the options that only concern the machine."""
    return _OF_A_MACHINE.sub("", command)


def _write(store: Store, plan: StoredPlan, folder: Path, scratch: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write a run's tables; return its frame and the comparison, for figures."""
    frame = plan_frame(store, plan)
    comparison = comparison_with_costs(store, plan, frame)
    before = pd.read_csv(folder / "table.csv").set_index("variant")
    for name in ("latency_ms", "latency_device"):
        comparison[name] = comparison["variant"].map(before[name])
    write_tables(comparison, scratch, title=plan.description.question, label=f"tab:{plan.study}")
    for name in KEPT:
        shutil.copyfile(scratch / name, folder / name)
    write_runs(frame, folder)
    write_extras(store, plan, frame, comparison, folder)
    return frame, comparison


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line."""
    prog = "python -m benchmarks.published"
    options = parse(Options, args, prog=prog, description=__doc__ or "")
    if options.add is None and options.name and not (options.results / options.name / "provenance.json").is_file():
        refuse(prog, f"--name: {options.name!r} is not published; allowed: a folder of a run below {options.results}")
    if options.add is not None:
        if not re.fullmatch(r"\w+", options.name):
            refuse(prog, f"--name: {options.name!r} is not allowed with --add; letters, digits and underscores")
        with closing(Store(options.store)) as store:
            add(options.add, options.name, store, options.results)
    for name in publish(options.results, options.name or None):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
