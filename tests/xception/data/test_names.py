"""A source of data sets is one file, found by its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import xception.data
from tests.xception.data.data_builders import image_folder
from xception.data import DataError, find, forms
from xception.data.names import sources

MINE = """
from pathlib import Path

from xception.data.folder import open_folder
from xception.data.registry import DataSource, as_source


def _find(request):
    return as_source(open_folder(Path(request.data_dir) / "mine", request.layout), "Mine", request.layout, name="mine")


SOURCE = DataSource(forms=("mine",), find=_find)
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "outside"
    folder.mkdir()
    monkeypatch.setattr(xception.data, "__path__", [*xception.data.__path__, str(folder)])
    sources.cache_clear()
    yield folder
    sources.cache_clear()


def test_one_file_adds_a_source(tmp_path: Path, outside: Path) -> None:
    (outside / "mine_source.py").write_text(MINE, encoding="utf-8")
    image_folder(tmp_path / "mine")
    assert "mine" in forms()
    assert find("mine", tmp_path).title == "Mine"
    with pytest.raises(DataError, match="imagenette, mine, parquet:PATH"):
        find("yours", tmp_path)


def test_every_source_is_in_the_list() -> None:
    assert forms() == [
        "cifar10",
        "cifar100",
        "folder:PATH",
        "imagenette",
        "parquet:PATH",
        "parquet:PATH#CONFIG",
        "synthetic",
        "synthetic:kappa=K",
    ]


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_home_folder_in_the_name_of_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    image_folder(tmp_path / "data" / "imagenette")
    if by == "environment":
        monkeypatch.setenv("XCEPTION_DATA", "~/data")
    assert find("imagenette", "~/data" if by == "option" else None).num_train == 12
