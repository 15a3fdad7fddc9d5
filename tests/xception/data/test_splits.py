"""The parts of a data set: paired by seed, disjoint, and the test set untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.xception.data.data_builders import examples, parquet_folder, write_parquet
from xception.data import DataError, Dataset, Images, find, load, split
from xception.data.splits import permutation


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load(find(f"parquet:{parquet_folder(tmp_path / 'set', num_train=60, num_test=12)}"), 8)


def index(part: Images) -> list[int]:
    assert part.index is not None
    return part.index.tolist()


def test_validation_is_the_same_whatever_the_training_size(dataset: Dataset) -> None:
    config = dataset.source.config(val_size=10)
    whole = split(dataset, config, seed=3)
    small = split(dataset, config.replace(train_size=20), seed=3)
    assert index(whole.val) == index(small.val)
    assert index(small.train) == index(whole.train)[:20]
    assert sorted(index(whole.train) + index(whole.val)) == list(range(60))
    assert (len(whole.train), len(whole.val), len(whole.test), len(small.train)) == (50, 10, 12, 20)


def test_a_stratified_split_has_the_classes_in_proportion(dataset: Dataset) -> None:
    config = dataset.source.config(val_size=10)
    wanted = torch.bincount(dataset.train.labels) * 10 / 60
    held_out = set()
    for seed in range(5):
        parts = split(dataset, config.replace(stratified=True), seed)
        assert (torch.bincount(parts.val.labels, minlength=len(wanted)) - wanted).abs().max() < 1
        assert len(parts.val) == 10
        assert sorted(index(parts.train) + index(parts.val)) == list(range(60))
        small = split(dataset, config.replace(stratified=True, train_size=20), seed)
        assert (index(small.val), index(small.train)) == (index(parts.val), index(parts.train)[:20])
        held_out.add(tuple(index(parts.val)))
    assert len(held_out) == 5
    assert held_out != {tuple(index(split(dataset, config, seed).val)) for seed in range(5)}


def test_a_validation_split_of_its_own_leaves_the_training_set_whole(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "set", num_train=60, num_test=12)
    write_parquet(folder / "validation-00000-of-00001.parquet", examples(9, 5))
    dataset = load(find(f"parquet:{folder}"), 8)
    config = dataset.source.config(val_size=6, train_size=60)
    assert dataset.val is not None
    parts = [split(dataset, config, seed) for seed in (0, 1)]
    assert [len(part) for part in (parts[0].train, parts[0].val, parts[0].test)] == [60, 6, 12]
    assert parts[0].val.storage.data_ptr() == dataset.val.storage.data_ptr()
    assert index(parts[0].val) == index(parts[1].val)
    assert sorted(index(parts[0].train)) == list(range(60))
    held_out = split(dataset, config.replace(validation="held_out", train_size=54), seed=0)
    assert held_out.val.storage.data_ptr() == dataset.train.storage.data_ptr()
    with pytest.raises(DataError, match="the validation set has 9 images"):
        split(dataset, config.replace(val_size=10), seed=0)


def test_a_seed_draws_the_split_and_another_draws_another(dataset: Dataset) -> None:
    config = dataset.source.config(val_size=10, train_size=20, test_size=5)
    parts = [split(dataset, config, seed) for seed in (0, 0, 1, 2)]
    assert index(parts[0].train) == index(parts[1].train)
    assert len({tuple(index(p.train)) for p in parts}) == 3
    assert len({tuple(index(p.val)) for p in parts}) == 3
    assert len({tuple(index(p.test)) for p in parts}) == 1


def test_permutations_are_fixed_for_ever() -> None:
    assert permutation(12, 0).tolist() == [11, 3, 2, 1, 8, 6, 0, 7, 4, 10, 5, 9]
    assert permutation(12, 1).tolist() == [9, 2, 4, 7, 5, 0, 11, 8, 10, 6, 3, 1]
    assert sorted(permutation(1000, 7).tolist()) == list(range(1000))
    assert permutation(12, 0).dtype == torch.int64


def test_batches_come_from_the_part_alone(dataset: Dataset) -> None:
    part = split(dataset, dataset.source.config(val_size=10), seed=0).train
    positions = torch.tensor([0, 49, 7])
    images, labels = part.batch(positions)
    chosen = [index(part)[i] for i in positions]
    assert torch.equal(images, dataset.train.storage[chosen])
    assert torch.equal(labels, dataset.train.storage_labels[chosen])
    resident = part.to("cpu")
    assert resident.index is None
    assert len(resident) == 50
    assert torch.equal(resident.images, part.images)
    for a, b in zip(resident.batch(positions), (images, labels), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(part.select(positions).images, images)
    assert torch.equal(resident.select(positions).images, images)
    assert part.num_bytes == 50 * 3 * 8 * 8


def test_images_that_do_not_fit_are_streamed_with_the_same_batches(dataset: Dataset) -> None:
    part = split(dataset, dataset.source.config(val_size=10), seed=0).train
    positions = torch.tensor([3, 1, 49])
    resident, streamed = part.place("cpu"), part.place("cpu", max_bytes=part.num_bytes - 1)
    assert resident.index is None
    assert resident.storage.data_ptr() != part.storage.data_ptr()
    assert streamed.storage.data_ptr() == part.storage.data_ptr()
    for a, b in zip(resident.batch(positions), streamed.batch(positions), strict=True):
        assert torch.equal(a, b)
    elsewhere = part.place("meta", max_bytes=0)
    assert [t.device.type for t in elsewhere.batch(positions)] == ["meta", "meta"]
    assert elsewhere.select(positions).target == torch.device("meta")


@pytest.mark.gpu
def test_streaming_to_a_gpu(dataset: Dataset) -> None:
    part = split(dataset, dataset.source.config(val_size=10), seed=0).train
    positions = torch.tensor([3, 1, 49])
    for placed in (part.place("cuda"), part.place("cuda", max_bytes=0)):
        images, labels = placed.batch(positions)
        assert images.device.type == labels.device.type == "cuda"
        assert torch.equal(images.cpu(), part.batch(positions)[0])
        assert torch.equal(labels.cpu(), part.batch(positions)[1])


@pytest.mark.parametrize(
    "sizes", [{"val_size": 60}, {"val_size": 10, "train_size": 51}, {"val_size": 0, "test_size": 13}]
)
def test_more_images_than_there_are(dataset: Dataset, sizes: dict[str, int]) -> None:
    config = dataset.source.config(val_size=1).replace(**sizes)
    with pytest.raises(DataError, match=r"the (training|test) set has (60|12) images"):
        split(dataset, config, seed=0)
