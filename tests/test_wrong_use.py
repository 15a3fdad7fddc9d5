"""Wrong use: one line that names what was given and what is allowed, exit status 2, nothing written over."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command import ROOT

STUDY = ("run_ablation.py", "--study", "residuals", "--scale", "smoke")


def told(args: tuple[str, ...]) -> tuple[int, list[str]]:
    command = [sys.executable, *args]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stderr.strip().splitlines()


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
    return folder


def cases(places: Path) -> dict[tuple[str, ...], str]:
    """Arguments, and a word that the one line must have."""
    return {
        ("run_ablation.py",): "--study",
        ("run_ablation.py", "--study", "residualz"): "residuals",
        ("run_ablation.py", "--study", str(places / "nowhere.py")): "does not exist",
        ("run_ablation.py", "--study", str(places / "study.py")): "STUDY",
        ("run_ablation.py", "--study", str(places / "broken.py")): "SyntaxError",
        ("run_ablation.py", "--study", "residuals", "--scale", "huge"): "quick",
        ("run_ablation.py", "--nonsense"): "--nonsense",
        (*STUDY, "--dataset", "cifar11"): "cifar10",
        (*STUDY, "--dataset", f"folder:{places}/empty"): "empty",
        (*STUDY, "--dataset", f"folder:{places}/nowhere"): "nowhere",
        (*STUDY, "--dataset", f"folder:{places}/other"): "other",
        (*STUDY, "--dataset", f"parquet:{places}/empty"): "empty",
        (*STUDY, "--dataset", f"parquet:{places}/truncated"): "truncated",
        (*STUDY, "--dataset", "synthetic", "--device", "cuda:9"): "cpu",
        (*STUDY, "--dataset", "synthetic", "--device", "tpu"): "cuda",
        (*STUDY, "--dataset", "synthetic", "--out", "/proc/nowhere"): "/proc/nowhere",
        (*STUDY, "--dataset", "synthetic", "--out", str(places / "file")): "file",
        (*STUDY, "--dataset", "synthetic", "--store", "mysql://host/name"): "sqlite",
        (*STUDY, "--dataset", "synthetic", "--store", f"sqlite:///{places}/file"): "not a store",
        (*STUDY, "--seeds", "-3"): "auto",
        (*STUDY, "--seeds", "many"): "auto",
        (*STUDY, "--epochs", "0"): "--epochs",
        (*STUDY, "--workers", "0"): "--workers",
        (*STUDY, "--preset", "nowhere"): "cifar_tiny",
        (*STUDY, "--dataset", "synthetic", "--train-size", "100000000"): "--train-size",
        ("run_ablation.py", "--report", "--out", str(places / "empty")): "--store",
        ("run_ablation.py", "--study", "residuals", "--json"): "--list",
    }


def test_every_wrong_use_is_told_in_one_line(places: Path) -> None:
    wanted = cases(places)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = dict(zip(wanted, pool.map(told, wanted), strict=True))
    problems = [
        f"{' '.join(args)}: exit {status}, {lines}"
        for args, (status, lines) in results.items()
        if status != 2 or len(lines) != 1 or wanted[args] not in lines[0]
    ]
    assert not problems, "\n".join(problems)


def test_results_are_not_written_over(tmp_path: Path) -> None:
    kept = tmp_path / "residuals" / "table.csv"
    kept.parent.mkdir()
    kept.write_text("mine")
    status, _ = told((*STUDY, "--dataset", "cifar11", "--out", str(tmp_path)))
    assert status == 2
    assert kept.read_text() == "mine"
