"""Results replace our own files and leave everything else in their folder as it is."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from ablations.reporting.own_files import MANIFEST, replacing_own_files, require_own_folder, require_own_page


def write(folder: Path, names: list[str], mark: str = "ours") -> None:
    with replacing_own_files(folder) as made:
        for name in names:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(mark, encoding="utf-8")
        (made / MANIFEST).write_text(json.dumps({"command": "x"}), encoding="utf-8")


def files(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_files_of_others_stay_and_stale_ones_of_ours_go(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write(folder, ["table.csv", "tuned/table.csv", "figures/a.png"], "old")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "mine").mkdir()
    (folder / "mine" / "table.csv").write_text("mine", encoding="utf-8")
    (folder / "figures" / "mine.png").write_text("mine", encoding="utf-8")
    write(folder, ["table.csv", "figures/b.png"], "new")
    kept = {"notes.txt": "mine", "mine/table.csv": "mine", "figures/mine.png": "mine"}
    assert files(folder) == {"table.csv": "new", "figures/b.png": "new", **kept}
    assert not (folder / "tuned").exists()
    assert json.loads((folder / MANIFEST).read_text())["files"] == ["figures/b.png", MANIFEST, "table.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


@pytest.mark.parametrize("name", ["table.csv", MANIFEST])
def test_a_file_of_somebody_elses_with_a_name_of_ours_is_refused_before_and_after(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is not ours"):
        require_own_folder(folder)
    with pytest.raises(ValueError, match="is not ours"):
        write(folder, ["table.csv"])
    assert (folder / name).read_text() == "mine"
    assert len(list(folder.iterdir())) == 1


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", [])
    (tmp_path / "one" / "table.csv").mkdir()
    with pytest.raises(ValueError, match="is a folder where a file is to be written"):
        require_own_folder(tmp_path / "one")
    write(tmp_path / "two", [])
    (tmp_path / "two" / "figures").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is a file where a folder is to be written"):
        require_own_folder(tmp_path / "two")
    (tmp_path / "three").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is a file; give another folder"):
        require_own_folder(tmp_path / "three")


def test_a_page_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    require_own_page(page)
    page.write_text("<!doctype html>\n<title>All studies</title>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"--out: .*report.html is not ours; give another folder, or move it away"):
        require_own_page(page)
    page.unlink()
    os.mkfifo(page)
    with pytest.raises(ValueError, match="is not ours"):
        require_own_page(page)
    page.unlink()
    page.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is not ours"):
        require_own_page(page)
    page.unlink()
    page.mkdir()
    with pytest.raises(ValueError, match="is a folder where a file is to be written"):
        require_own_page(page)


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    folder = tmp_path / "study"
    folder.mkdir()
    listed = {"command": "x", "files": ["../mine", str(tmp_path / "mine"), 3]}
    (folder / MANIFEST).write_text(json.dumps(listed), encoding="utf-8")
    write(folder, ["table.csv"])
    assert (tmp_path / "mine").read_text() == "mine"


def test_two_writers_at_once_leave_one_whole_set(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    threads = [
        threading.Thread(target=write, args=(folder, [f"{mark}.csv", *map(str, range(20))], mark)) for mark in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = files(folder)
    assert len(left) == 21
    assert len(set(left.values())) == 1


def test_umask_is_honoured(tmp_path: Path) -> None:
    before = os.umask(0o007)
    try:
        write(tmp_path / "study", ["table.csv", "figures/a.png"])
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "study").rglob("*")}
    assert modes == {"table.csv": 0o660, "figures": 0o770, "a.png": 0o660, MANIFEST: 0o660}
    assert (tmp_path / "study").stat().st_mode & 0o777 == 0o770


def test_a_kill_can_leave_no_part_of_a_file_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the moment: each file comes into the folder whole, from outside of it."""
    folder, moved = tmp_path / "study", []
    replace = os.replace

    def replaced(source: Path, target: Path) -> None:
        moved.append(Path(target).name)
        assert folder not in Path(source).parents
        assert {path.name for path in folder.iterdir()} <= {MANIFEST, "a.csv", "b.csv"}
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    write(folder, ["a.csv", "b.csv"])
    assert moved == [MANIFEST, "a.csv", "b.csv", MANIFEST]
