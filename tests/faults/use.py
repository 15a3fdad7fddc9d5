"""Faults of use: names, numbers and places that cannot work, refused in one line before anything is trained."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import run_ablation
from ablations.records.store import Store
from tests.faults.bench import Bench, Outcome, require
from xception.base.canonical import canonical_json
from xception.network import presets

STUDY = """
from ablations.design.study import Study, Variant
STUDY = Study(
    name={!r},
    question="?",
    baseline="base",
    varies=("recipe.label_smoothing",),
    variants=(Variant(name="base"), Variant(name={!r}, changes={{"recipe.label_smoothing": 0.1}})),
)
"""
SYNTHETIC = ("--study", "residuals", "--scale", "smoke", "--dataset", "synthetic")


def front_door(folder: Path, *words: str) -> tuple[int, str, str]:
    """Call the front door in this process, from a folder; return its status, standard output and standard error."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_ablation.main(list(words))
    except SystemExit as end:
        status = int(str(end.code))
    finally:
        os.chdir(before)
    return status, out.getvalue(), err.getvalue().strip()


def refused(folder: Path, *words: str, names: str) -> str:
    """The line of a call that is refused, which must contain some words; nothing may have been trained."""
    status, out, line = front_door(folder, *words)
    require(status == 2 and not out, f"status {status}: {out}{line}")
    require("\n" not in line and names in line, f"not one line with {names!r}: {line}")
    require(not list(folder.glob("**/trials")), "something was trained")
    return re.sub(r"'?" + re.escape(str(folder)) + "/?", "", line)


def refused_studies(bench: Bench, studies: list[tuple[str, str]], names: str) -> Outcome:
    folder, line = bench.new_folder(), ""
    for study, variant in studies:
        (folder / "study.py").write_text(STUDY.format(study, variant), encoding="utf-8")
        line = refused(folder, "--study", "study.py", names=names)
    return Outcome(injected=len(studies), message=line)


def study_is_a_path(bench: Bench) -> Outcome:
    names = ["my/study", "", ".", "..", "/tmp/study", "a\\b", "n" * 300, ".hidden", "é" * 61]
    return refused_studies(bench, [(name, "other") for name in names], "Study.name: ")


def study_is_reserved(bench: Bench) -> Outcome:
    names = ["trials", "records.db", "searches", "weights", "speed.json", "Trials"]
    return refused_studies(bench, [(name, "other") for name in names], "is not allowed; any name but")


def variant_is_no_line(bench: Bench) -> Outcome:
    names = ["a\nb", "a\x1b[31mb", "a\0b", "v" * 300, "", " a", "\ud800"]
    return refused_studies(bench, [("mine", name) for name in names], "printable characters")


def out_has_signs(bench: Bench) -> Outcome:
    """The database is at its path, whatever characters that has."""
    folder = bench.new_folder()
    names = ["run?1", "run%41", "run#1", "run 1", "läuft", "a&b=c"]
    for name in names:
        status, _, err = front_door(folder, *SYNTHETIC, "--dry-run", "--out", name)
        require(status == 0, f"--out {name}: {err}")
        with contextlib.closing(Store(f"sqlite:///{folder / name / 'records.db'}")):
            require((folder / name / "records.db").is_file(), f"no database in {name}")
    require(sorted(p.name for p in folder.iterdir()) == sorted(names), f"also made: {list(folder.iterdir())}")
    return Outcome(injected=len(names), message="in the folder that was named")


def not_text(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    places = (("--out", "run\udcff"), ("--store", "sqlite:///\udcff"), ("--data-dir", "\udcfe"))
    lines = [refused(folder, *SYNTHETIC, *words, names="is not UTF-8") for words in places]
    return Outcome(injected=len(places), message=lines[0])


def no_such_store(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    urls = ("mysql://host/name", "sqlite:///file:x?mode=ro", "postgresql://host:port/name", "records.db")
    lines = [refused(folder, *SYNTHETIC, "--store", url, names="--store: ") for url in urls]
    return Outcome(injected=len(urls), message=lines[1])


def numbers_too_large(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    numbers = {"--seeds": 10**20, "--epochs": 10**20, "--train-size": 10**20, "--tune": 10**20, "--seed-batch": 10**20}
    lines = [refused(folder, *SYNTHETIC, name, str(n), names=name) for name, n in numbers.items()]
    lines += [refused(folder, *SYNTHETIC, name, "10000001", names=name) for name in ("--seeds", "--epochs", "--tune")]
    return Outcome(injected=len(lines), message=lines[-1])


def threads_too_many(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    pairs = (("--threads", "100000"), ("--workers", "100000"), ("--threads", "0"))
    lines = [refused(folder, *SYNTHETIC, *words, names=words[0]) for words in pairs]
    return Outcome(injected=len(lines), message=lines[0])


def network_too_large(bench: Bench, part: str, field: str, *values: Any) -> Outcome:
    folder, line = bench.new_folder(), ""
    for value in values:
        network = json.loads(canonical_json(presets.get("cifar_tiny")))
        network.setdefault(part, {})[field] = value
        (folder / "network.json").write_text(json.dumps(network), encoding="utf-8")
        line = refused(folder, *SYNTHETIC, "--preset", "network.json", names="at most")
    return Outcome(injected=len(values), message=line)


def network_too_deep(bench: Bench) -> Outcome:
    return network_too_large(bench, "middle", "modules", 10**9, 10**30)


def network_too_wide(bench: Bench) -> Outcome:
    return network_too_large(bench, "exit", "width", 10**9, 10**30)


def file_is_a_pipe(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    for name in ("network.json", "weights.safetensors"):
        os.mkfifo(folder / name)
    line = refused(folder, *SYNTHETIC, "--preset", "network.json", names="not a file")
    transfer = ("--study", "transfer", "--scale", "smoke", "--dataset", "synthetic")
    refused(folder, *transfer, "--weights", "weights.safetensors", names="not a file")
    return Outcome(injected=2, message=line)


def file_is_endless(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "large.json").write_text(" " * 2_000_000, encoding="utf-8")
    lines = [
        refused(folder, *SYNTHETIC, "--preset", name, names="not a file of up to")
        for name in ("zero.json", "large.json")
    ]
    return Outcome(injected=2, message=lines[0])


def overview_of_others(bench: Bench) -> Outcome:
    """The page of all studies is next to the folders of runs, where a foreign page of that name may be."""
    folder = bench.new_folder()
    Store(f"sqlite:///{folder / 'records.db'}").close()
    (folder / "report.html").write_text("mine", encoding="utf-8")
    line = refused(folder, "--report", "--out", ".", names="report.html is not ours")
    require((folder / "report.html").read_text(encoding="utf-8") == "mine", "it was replaced")
    return Outcome(message=line)


def cache_is_a_file(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    (folder / "cache").write_text("mine", encoding="utf-8")
    with mock.patch.dict(os.environ, {"XCEPTION_CACHE": str(folder / "cache")}):
        line = refused(folder, *SYNTHETIC, names="$XCEPTION_CACHE")
    require((folder / "cache").read_text(encoding="utf-8") == "mine", "the file was changed")
    return Outcome(message=line)


def out_is_a_file(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    (folder / "out").write_text("mine", encoding="utf-8")
    lines = [refused(folder, *SYNTHETIC, "--out", out, names="--out: ") for out in ("out", "/proc/nowhere")]
    require((folder / "out").read_text(encoding="utf-8") == "mine", "the file was changed")
    return Outcome(injected=2, message=lines[0])


def no_locks(bench: Bench) -> Outcome:
    """A file system without locks, as some network file systems are."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(38, os.strerror(38))

    folder = bench.new_folder()
    with mock.patch("xception.base.files.fcntl.flock", flock):
        return Outcome(message=refused(folder, *SYNTHETIC, names="cannot be locked"))


def on_windows(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    with mock.patch("xception.base.files.fcntl", None):
        return Outcome(message=refused(folder, *SYNTHETIC, names="Windows: not supported"))


@contextlib.contextmanager
def environment(**changes: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, changes):
        yield
