"""A plan counts only images that decode, and a field changes a trial's key only if it affects the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study_plan import StudyPlan
from ablations.running.run_study import first_line
from ablations.studies import get_study
from tests.xception.data.cases import deep, png, split_files, tree, turned
from tests.xception.data.data_builders import pixels

FIELDS = ("channels", "orientation", "deep_bits", "validation")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path / "cache"))
    return tree(tmp_path / "set", split_files("train", num=72), split_files("test", 500, 65), base=False)


def plan(folder: Path, **options: Any) -> StudyPlan:
    return plan_study(get_study("residuals"), Options(scale="smoke", dataset=f"folder:{folder}", **options))


def dataset(plan: StudyPlan) -> dict[str, Any]:
    config = next(iter(plan.trials().values())).dataset
    return {name: getattr(config, name) for name in (*FIELDS, "train_size", "val_size", "test_size")}


def test_three_corrupt_files_in_144_are_no_trouble(folder: Path) -> None:
    for number in range(3):
        (folder / "train" / "ant" / f"{number}.png").write_bytes(b"\x89PNG junk")
        (folder / "test" / "bee" / f"{number}.png").write_bytes(b"")
    made = plan(folder)
    assert (made.source.num_train, made.source.num_test) == (141, 127)
    sizes = dataset(made)
    assert (sizes["train_size"], sizes["val_size"], sizes["test_size"]) == (None, 14, None)
    assert made.described().data[0]["num_broken"] == 6
    assert len(made.described().data_warnings) == 1
    assert "6 images left out that cannot be decoded, first train ant/0.png" in first_line(made)


def test_half_of_twenty_are_corrupt(folder: Path) -> None:
    small = tree(folder.parent / "small", split_files("train", num=10), split_files("test", 500, 4), base=False)
    for number in range(5):
        for name in ("ant", "bee"):
            (small / "train" / name / f"{number}.png").write_bytes(b"junk")
    made = plan(small)
    assert next(iter(made.trials().values())).recipe.batch_size == 9
    assert dataset(made)["val_size"] == 1


def test_data_without_oddities_keeps_its_keys(folder: Path) -> None:
    made = next(iter(plan(folder).trials().values()))
    assert not [name for name in FIELDS if f'"{name}"' in made.to_json()]


def test_a_validation_split_of_its_own(folder: Path) -> None:
    made = dataset(plan(tree(folder, split_files("val", 900, 20), base=False)))
    assert (made["validation"], made["val_size"], made["train_size"]) == ("separate", 40, 128)
    old = dataset(plan(folder, set=("dataset.validation=held_out",)))
    assert (old["validation"], old["val_size"]) == ("held_out", 14)


def test_orientation_and_depth_are_set_where_there_are_some(folder: Path) -> None:
    (folder / "train" / "ant" / "turned.png").write_bytes(turned(pixels(1, 3, (8, 8))[0], 6))
    (folder / "train" / "bee" / "deep.png").write_bytes(deep(pixels(1, 3, (8, 8))[0][..., 0].astype(int) * 15))
    made = dataset(plan(folder))
    assert (made["orientation"], made["deep_bits"]) == ("applied", 12)
    asked = plan(folder, set=("dataset.orientation=ignored", "dataset.deep_bits=16"))
    assert (dataset(asked)["orientation"], dataset(asked)["deep_bits"]) == ("ignored", 16)


def test_one_channel(folder: Path) -> None:
    made = plan(folder, channels=1)
    assert {design.model.in_channels for design in made.designs.values()} == {1}
    assert dataset(made)["channels"] == 1
    assert "--channels 1" in made.command
    with pytest.raises(ValueError, match=r"--channels: 1 is not allowed with --set dataset\.channels"):
        plan(folder, channels=1, set=("dataset.channels=3",))


def test_splits_by_name(folder: Path) -> None:
    tree(folder, {f"other/ant/{i}.png": png(900 + i) for i in range(5)}, base=False)
    made = plan(folder, splits="train=train,test=other")
    assert made.source.num_test == 5
    assert "--splits train=train,test=other" in made.command
    with pytest.raises(ValueError, match="--splits: 'x' is not allowed"):
        plan(folder, splits="x")
