"""Wrong use: one line with the given and the allowed values, exit status 2, nothing overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import run_ablation
from ablations.design.names import check_folder_name
from ablations.design.study import Study, Variant
from ablations.records.store import Store, StoreError
from tests.command import ROOT
from xception.base.canonical import canonical_json
from xception.base.errors import DataError
from xception.base.files import require_locks
from xception.network import presets
from xception.network.config import MiddleFlowConfig

STUDY = ("--study", "residuals", "--scale", "smoke")
SYNTHETIC = (*STUDY, "--dataset", "synthetic")

RunCommand = Callable[[tuple[str, ...]], tuple[int, list[str]]]


@pytest.fixture
def run_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """The exit status and standard error of the front door, called in this process in a new folder."""
    monkeypatch.chdir(tmp_path)

    def call(args: tuple[str, ...]) -> tuple[int, list[str]]:
        try:
            status = run_ablation.main(list(args))
        except SystemExit as end:
            status = int(str(end.code))
        return status, capsys.readouterr().err.strip().splitlines()

    return call


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    (folder / "empty").mkdir()
    (folder / "truncated").mkdir()
    table = folder / "whole.parquet"
    pq.write_table(pa.table({"img": [b"0" * 100] * 50, "label": [0] * 50}), table)
    for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"):
        (folder / "truncated" / name).write_bytes(table.read_bytes()[:-30])
    (folder / "other").mkdir()
    (folder / "other" / "notes.txt").write_text("no images here")
    (folder / "file").write_text("a file, not a folder")
    (folder / "study.py").write_text("STUDY = 3\n")
    (folder / "broken.py").write_text("def (:\n")
    os.mkfifo(folder / "pipe.json")
    os.mkfifo(folder / "pipe.safetensors")
    networks = {"deep": ("middle", "modules", 10**9), "wide": ("exit", "width", 10**30), "high": ("stem", "widths", 0)}
    for name, (part, field, value) in networks.items():
        network = json.loads(canonical_json(presets.get("cifar_tiny")))
        network.setdefault(part, {})[field] = value if value else [10**30]
        (folder / f"{name}.json").write_text(json.dumps(network))
    (folder / "large.json").write_text(" " * 2_000_000 + "{}")
    (folder / "taken" / "residuals-smoke").mkdir(parents=True)
    for name, study in {"slash": "my/study", "nothing": "", "long": "n" * 300, "dot": ".", "trials": "trials"}.items():
        (folder / f"{name}.py").write_text(_STUDY.format(study, "other"))
    for name, variant in {"newline": "a\\nb", "escape": "a\\x1bb", "null": "a\\0b", "endless": "v" * 300}.items():
        (folder / f"{name}.py").write_text(_STUDY.format("mine", variant))
    return folder


_STUDY = """
from ablations.design.study import Study, Variant
STUDY = Study(
    name="{}",
    question="?",
    baseline="base",
    varies=("recipe.label_smoothing",),
    variants=(Variant(name="base"), Variant(name="{}", changes={{"recipe.label_smoothing": 0.1}})),
)
"""


def cases(places: Path) -> dict[tuple[str, ...], str]:
    """Arguments, and a word that the line must contain."""
    studies = {
        ("--study", str(places / f"{name}.py")): words
        for names, words in (
            (("slash", "nothing", "long", "dot", "trials"), "Study.name: "),
            (("newline", "escape", "null", "endless"), "printable characters"),
        )
        for name in names
    }
    return studies | {
        (): "--study",
        (*SYNTHETIC, "--seeds", "99999999999999999999"): "--seeds: ",
        (*SYNTHETIC, "--seeds", "10001"): "1 to 10,000",
        (*SYNTHETIC, "--epochs", "1000001"): "1 to 1,000,000",
        (*SYNTHETIC, "--tune", "99999999999999999999"): "--tune",
        (*SYNTHETIC, "--threads", "100000"): "1 to 256",
        (*SYNTHETIC, "--workers", "100000"): "1 to 10,000",
        (*SYNTHETIC, "--seed-batch", "100000"): "1 to 10,000",
        (*SYNTHETIC, "--preset", str(places / "deep.json")): "at most 1000",
        (*SYNTHETIC, "--preset", str(places / "wide.json")): "at most 1048576",
        (*SYNTHETIC, "--preset", str(places / "high.json")): "at most 1048576",
        (*SYNTHETIC, "--preset", str(places / "large.json")): "not a file of up to",
        (*SYNTHETIC, "--preset", str(places / "pipe.json")): "not a file of up to",
        ("--study", "transfer", "--dataset", "synthetic", "--weights", str(places / "pipe.safetensors")): "not a file",
        (*SYNTHETIC, "--out", "run\udcff"): "is not UTF-8",
        (*SYNTHETIC, "--store", "sqlite:///file:x?mode=ro"): "not a database URL",
        ("--study", "residualz"): "residuals",
        ("--study", str(places / "nowhere.py")): "does not exist",
        ("--study", str(places / "study.py")): "STUDY",
        ("--study", str(places / "broken.py")): "SyntaxError",
        ("--study", "residuals", "--scale", "huge"): "quick",
        ("--nonsense",): "--nonsense",
        (*STUDY, "--dataset", "cifar11"): "cifar10",
        (*STUDY, "--dataset", f"folder:{places}/empty"): "empty",
        (*STUDY, "--dataset", f"folder:{places}/nowhere"): "nowhere",
        (*STUDY, "--dataset", f"folder:{places}/other"): "other",
        (*STUDY, "--dataset", f"parquet:{places}/empty"): "empty",
        (*STUDY, "--dataset", f"parquet:{places}/truncated"): "truncated",
        (*SYNTHETIC, "--device", "cuda:9"): "cpu",
        (*SYNTHETIC, "--device", "tpu"): "cuda",
        (*SYNTHETIC, "--out", "/proc/nowhere"): "/proc/nowhere",
        (*SYNTHETIC, "--out", str(places / "file")): "file",
        (*SYNTHETIC, "--store", "mysql://host/name"): "sqlite",
        (*SYNTHETIC, "--store", f"sqlite:///{places}/file"): "not a store",
        (*STUDY, "--seeds", "-3"): "auto",
        (*STUDY, "--seeds", "many"): "auto",
        (*STUDY, "--epochs", "0"): "--epochs",
        (*STUDY, "--workers", "0"): "--workers",
        (*STUDY, "--preset", "nowhere"): "cifar_tiny",
        (*SYNTHETIC, "--train-size", "100000000"): "--train-size",
        ("--report", "--out", str(places / "empty")): "--store",
        ("--study", "residuals", "--json"): "--list",
    }


def test_every_wrong_use_is_reported_in_one_line(places: Path, run_command: RunCommand) -> None:
    wanted = cases(places)
    results = {args: run_command(args) for args in wanted}
    problems = [
        f"{' '.join(args)}: exit {status}, {lines}"
        for args, (status, lines) in results.items()
        if status != 2 or len(lines) != 1 or wanted[args] not in lines[0]
    ]
    assert not problems, "\n".join(problems)


def test_a_process_ends_with_the_line_and_the_status() -> None:
    command = [sys.executable.encode(), b"run_ablation.py", *(w.encode() for w in SYNTHETIC), b"--out", b"run\xff"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.decode().strip().splitlines()
    assert "is not UTF-8" in line


@pytest.mark.parametrize("name", ["table.csv", "provenance.json"])
def test_results_are_not_written_over(tmp_path: Path, run_command: RunCommand, name: str) -> None:
    kept = tmp_path / "out" / "residuals-synthetic-smoke" / name
    kept.parent.mkdir(parents=True)
    kept.write_text("mine", encoding="utf-8")
    status, lines = run_command((*SYNTHETIC, "--out", "out"))
    assert status == 2
    assert len(lines) == 1
    assert "is not ours" in lines[0]
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_cache_that_is_a_file_is_refused_at_once(
    tmp_path: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("mine", encoding="utf-8")
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path / "cache"))
    status, lines = run_command(SYNTHETIC)
    assert status == 2
    assert len(lines) == 1
    assert "$XCEPTION_CACHE" in lines[0]


def test_a_file_system_without_locks_is_refused_at_once(
    tmp_path: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr("xception.base.files.fcntl.flock", flock)
    with pytest.raises(DataError, match="a file system with locks"):
        require_locks(tmp_path)
    status, lines = run_command(SYNTHETIC)
    assert status == 2
    assert len(lines) == 1
    assert "cannot be locked (function not implemented)" in lines[0]


@pytest.mark.parametrize("name", ["run?1", "run%41", "run#1", "run 1", "läuft", "a&b=c", "semi;colon"])
def test_a_database_is_at_its_path_whatever_characters_that_has(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "records.db"
    Store(f"sqlite:///{path}").close()
    assert path.is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("url", ["sqlite:///a\0b", "sqlite:///run\udcff", "sqlite:///file:a"])
def test_a_path_that_cannot_be_one_is_no_store(url: str) -> None:
    with pytest.raises(StoreError, match="not a database URL"):
        Store(url)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\nb", "a\0", "Trials", "records.db", "ends.", "é" * 61, "-x"],
)
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^--name: "):
        check_folder_name(name, "--name")
    with pytest.raises(ValueError, match=r"^Study.name: "):
        Study(name=name, question="?", variants=(Variant(name="base"),), baseline="base", varies=())


def test_names_of_the_catalogue_and_of_tuned_studies_are_allowed() -> None:
    for name in ("residuals", "residuals@tuned", "search_table", "my-study.v2", "étude", "a+b=c,d"):
        check_folder_name(name, "--name")


def test_networks_stay_within_what_can_be_counted() -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        MiddleFlowConfig(modules=1001)
    with pytest.raises(ValueError, match="at most 1048576"):
        MiddleFlowConfig(width=2**20 + 1)
