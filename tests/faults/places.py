"""Faults of the surroundings: locales, backends, streams, rights, and files that cannot be read."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tests.faults.bench import ROOT, Bench, LeftOutError, Outcome, forked, require
from xception.base.errors import DataError

_NOBODY = 65534


def ran(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the project with another environment."""
    return subprocess.run(
        [sys.executable, *words, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
    )


_FIGURE = """
import io
from ablations.reporting import style
with style.context():
    figure = style.new_figure(2.0)
    figure.subplots().plot([1, 2])
    figure.savefig(io.BytesIO(), format="svg")
"""


def backend_of_a_notebook(bench: Bench) -> Outcome:
    names = ("module://matplotlib_inline.backend_inline", "nonsense")
    for name in names:
        done = ran(_FIGURE, MPLBACKEND=name)
        require(done.returncode == 0, f"MPLBACKEND={name}: {done.stderr[-200:]}")
    return Outcome(injected=len(names), message="figures are written as ever")


_LOCALE = """
import locale, pathlib, sys
def other(do_setlocale=True): return {name!r}
locale.getpreferredencoding = other
real = open
import builtins, io
def strict(file, mode="r", buffering=-1, encoding=None, *more, **named):
    # What a Python without UTF-8 mode does under this locale.
    return real(file, mode, buffering, encoding or (None if "b" in mode else {name!r}), *more, **named)
builtins.open = io.open = strict
from ablations.reporting.own_files import replacing_own_files, MANIFEST
from xception.base.files import write_atomically, write_json, read_json
from xception.base.command_line import parse
from run_ablation import main
folder = pathlib.Path({folder!r})
with replacing_own_files(folder / "study") as made:
    write_atomically(made / "table.md", "δ ≤ 日本 é")
    write_atomically(made / MANIFEST, '{{"command": "δ ≤ 日本 é"}}')
assert (folder / "study" / "table.md").read_bytes().decode("utf-8") == "δ ≤ 日本 é"
write_json(folder / "record.json", ["δ ≤ 日本 é"])
assert read_json(folder / "record.json") == ["δ ≤ 日本 é"]
assert main(["--list"]) == 0
print("δ ≤ 日本 é")
"""


def locale_of(bench: Bench, *names: str) -> Outcome:
    for name in names:
        folder = bench.new_folder()
        path = folder / "script.py"
        path.write_text(_LOCALE.format(name=name, folder=str(folder)), encoding="utf-8")
        done = ran(
            f"import runpy; runpy.run_path({str(path)!r})",
            PYTHONIOENCODING=f"{name}:strict",
            PYTHONUTF8="0",
            LC_ALL="C",
        )
        require(done.returncode == 0 and "residuals" in done.stdout, f"{name}: {done.stderr[-300:]}")
    return Outcome(injected=len(names), message="files are UTF-8, and what the terminal lacks is a question mark")


def locale_chinese(bench: Bench) -> Outcome:
    return locale_of(bench, "gbk", "gb18030")


def locale_japanese(bench: Bench) -> Outcome:
    return locale_of(bench, "euc-jp", "shift_jis")


def locale_western(bench: Bench) -> Outcome:
    return locale_of(bench, "latin-1", "ascii")


_SIGNAL = """
import os, signal, sys
from ablations.running.interruption import interruptible
with interruptible(["-m", "nothing"]):
    print("buffered") if sys.stdout else None
    if {close}:
        for number in (0, 1, 2):
            os.close(number)
    os.kill(os.getpid(), {number})
"""


def streams_closed(bench: Bench) -> Outcome:
    """Ctrl-C and SIGTERM, with streams that were closed from the start, later, or whose reader is gone."""
    cases = [(close, number) for close in ("start", "later", "reader") for number in (signal.SIGINT, signal.SIGTERM)]
    for close, number in cases:
        command = [sys.executable, "-c", _SIGNAL.format(close=close == "later", number=int(number))]
        if close == "start":
            command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
        reader, writer = os.pipe()
        os.close(reader)
        out = writer if close == "reader" else subprocess.DEVNULL
        environment = {**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=out, stderr=out, timeout=300, check=False)
        os.close(writer)
        require(done.returncode == 130, f"{close}, signal {int(number)}: status {done.returncode}")
    return Outcome(injected=len(cases), message="exit status 130")


_UNGUARDED = """
import ablations
ablations.run("aa", scale="smoke", dataset="synthetic", out={out!r}, workers=2)
"""


def no_main_guard(bench: Bench) -> Outcome:
    """A script that starts workers without `if __name__ == "__main__":` gets Python's own error, and ends."""
    folder = bench.new_folder()
    script = folder / "script.py"
    script.write_text(_UNGUARDED.format(out=str(folder / "out")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
    )
    require(done.returncode == 1 and "__name__" in done.stderr, f"status {done.returncode}: {done.stderr[-300:]}")
    return Outcome(message=done.stderr.strip().splitlines()[-1])


def network_that_no_memory_holds(bench: Bench) -> Outcome:
    """A variant whose costs cannot be measured has none; the other variant's are measured."""
    from contextlib import closing

    from ablations.costs.variant_costs import measure_costs
    from ablations.design.options import Options
    from ablations.design.plan_study import plan_study
    from ablations.records.store import Store
    from ablations.studies import get_study
    from xception.network.model import build as whole

    folder = bench.new_folder()
    plan = plan_study(get_study("residuals"), Options(out=folder, scale="smoke", dataset="synthetic", seeds=2))
    _, large = plan.designs

    def build(config: object) -> object:
        if config == plan.designs[large].model:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 9 TB")
        return whole(config)  # type: ignore[arg-type]

    with closing(Store(f"sqlite:///{folder / 'records.db'}")) as store:
        with mock.patch("xception.network.model.build", build), mock.patch("xception.profile.latency.build", build):
            measure_costs(plan.designs, store, device="cpu", time_budget_s=0.01)
        kinds = [kind for _, kind, _ in store.all_measurements()]
        statuses = {row["status"] for row in store.measurements("latency")}
    require(kinds.count("complexity") == kinds.count("memory") == 1, f"measured: {kinds}")
    require(statuses == {"measured", "does not fit"}, f"timed: {statuses}")
    return Outcome(message="not measured for it, measured for the other")


def image_folder(path: Path) -> Path:
    """A data set of two classes with few images."""
    from PIL import Image

    for split, num in (("train", 6), ("test", 2)):
        for label in ("cat", "dog"):
            (path / split / label).mkdir(parents=True)
            for i in range(num):
                Image.new("RGB", (9, 9), (i * 20, 10, 99)).save(path / split / label / f"{i}.png")
    return path


def not_read(bench: Bench, fault: Callable[[Path], object], word: str) -> Outcome:
    """A fault of the machine while a data set is read: the run stops with the reason, and nothing is cached."""
    from xception.data import find, load

    folder = image_folder(bench.new_folder() / "data")
    cache = bench.new_folder()
    whole = Path.read_bytes

    def read(path: Path) -> object:
        return fault(path) if path.suffix == ".png" else whole(path)

    with mock.patch.dict(os.environ, {"XCEPTION_CACHE": str(cache)}):
        try:
            with mock.patch.object(Path, "read_bytes", read):
                load(find(f"folder:{folder}", None), 8)
        except DataError as error:
            line = str(error)
        else:
            raise AssertionError("the data set was read")
        require(word in line and " at 0x" not in line and "\n" not in line, f"not told: {line}")
        dataset = load(find(f"folder:{folder}", None), 8)  # once the machine works again
        require(dataset.num_broken == 0 and len(dataset.train.labels) == 12, "the fault was cached")
    return Outcome(message=line.replace(str(folder), "DATA"))


def refuse_with(number: int) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        raise OSError(number, os.strerror(number), str(path))

    return read


def image_not_permitted(bench: Bench) -> Outcome:
    return not_read(bench, refuse_with(errno.EACCES), "permission denied")


def image_disk_broken(bench: Bench) -> Outcome:
    return not_read(bench, refuse_with(errno.EIO), "input/output error")


def too_many_files(bench: Bench) -> Outcome:
    return not_read(bench, refuse_with(errno.EMFILE), "too many open files")


def no_memory_for_a_file(bench: Bench) -> Outcome:
    def read(path: Path) -> object:
        raise MemoryError

    return not_read(bench, read, "out of memory")


def no_memory_for_pixels(bench: Bench) -> Outcome:
    """Memory runs out while an image is decoded: it does not count as broken."""
    from xception.data.images import DEFAULT_PIXELS, BrokenImageError, decode

    out = io.BytesIO()
    from PIL import Image

    Image.new("RGB", (9, 9)).save(out, "PNG")
    errors = (MemoryError(), OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
    line = ""
    for error in errors:
        with mock.patch("PIL.ImageFile.ImageFile.load", side_effect=error):
            try:
                decode(out.getvalue(), 8, DEFAULT_PIXELS)
            except BrokenImageError as broken:
                raise AssertionError(f"it counts as broken: {broken}") from None
            except DataError as told:
                line = str(told)
    require("memory" in line, line)
    return Outcome(injected=len(errors), message=line)


def as_nobody(work: Callable[[], None]) -> int:
    """Run a function in a copy of this process that has no special rights; return its exit status."""
    if os.geteuid() != 0:
        raise LeftOutError("only root can give up rights")

    def unprivileged() -> None:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        work()

    return os.waitstatus_to_exitcode(os.waitpid(forked(unprivileged), 0)[1])


def class_not_permitted(bench: Bench) -> Outcome:
    """`chmod 000` on the folder of a class: refused, and never trained on the other class alone."""
    from xception.data import find

    bench.folder.chmod(0o755)
    folder = image_folder(bench.new_folder())
    closed = folder / "train" / "cat"
    closed.chmod(0)

    def work() -> None:
        try:
            find(f"folder:{folder}", None)
        except DataError as error:
            require("cannot be read" in str(error), str(error))
            return
        raise AssertionError("it was accepted as a whole data set")

    try:
        require(as_nobody(work) == 0, "it was not refused")
    finally:
        closed.chmod(0o755)
    return Outcome(message="refused by the name of the folder")


def descriptors_run_out(bench: Bench) -> Outcome:
    """`ulimit -n` while a data set is read: refused, not a data set of fewer images."""
    from xception.data import find

    folder = image_folder(bench.new_folder())

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        try:
            find(f"folder:{folder}", None)
        except (DataError, OSError) as error:
            if "too many open files" in str(error).lower():
                return
        raise AssertionError("it was read")

    status = os.waitstatus_to_exitcode(os.waitpid(forked(work), 0)[1])
    require(status == 0, "it was not refused")
    return Outcome(message="too many open files")
