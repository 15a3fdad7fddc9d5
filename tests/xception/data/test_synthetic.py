"""The embedded set: the same bytes everywhere, ten classes that only the pairing of colour and shape tells apart at
kappa 1.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from xception.data import find, load
from xception.data.synthetic import COLOURS, DEFAULT_KAPPA, SHAPES, class_pairs, generate, latin_square, shape_patterns


def digest(kappa: float) -> str:
    out = hashlib.sha256()
    for split in ("train", "test"):
        images, labels = generate(split, kappa)
        out.update(images.tobytes() + labels.astype("<i8").tobytes())
    return out.hexdigest()


def test_the_content_behind_the_fingerprint_is_golden() -> None:
    assert find("synthetic").fingerprint == "ca00c1bc03fe7ef0900965ab3b04eec02cabdd8d6f75fede9c3c71bda8953dc4"
    assert digest(DEFAULT_KAPPA) == "cc0333243940bb0f44628e4e1d167982cc406624b0957dd17c0451a7c8a4bdd4"


def test_names_and_titles() -> None:
    plain = find("synthetic")
    assert (plain.name, plain.title, plain.num_train, plain.num_test, plain.num_classes) == (
        "synthetic",
        "synthetic",
        12_000,
        2_000,
        10,
    )
    assert find("synthetic:kappa=0.5") == plain
    other = find("synthetic:kappa=0.25")
    assert (other.name, other.title) == ("synthetic:kappa=0.25", "synthetic (kappa 0.25)")
    assert find(other.name) == other
    assert len({find(f"synthetic:kappa={k}").fingerprint for k in (0, 0.25, 0.5, 1)}) == 4


def test_the_pairing_is_an_idempotent_latin_square() -> None:
    square = latin_square()
    assert (np.sort(square, axis=0) == np.arange(10)[:, None]).all()
    assert (np.sort(square, axis=1) == np.arange(10)).all()
    assert (square.diagonal() == np.arange(10)).all()


@pytest.mark.parametrize("kappa", [0.0, 0.25, 0.5, 1.0])
def test_kappa_is_the_fraction_drawn_evenly_over_all_pairs_of_a_class(kappa: float) -> None:
    labels, colours, shapes = class_pairs(12_000, kappa, np.random.PCG64(1))
    assert (latin_square()[colours, shapes] == labels).all()
    for marginal in (colours, shapes):
        counts = np.zeros((10, 10), dtype=int)
        np.add.at(counts, (labels, marginal), 1)
        # In each class: kappa of the 1200 images spread evenly over ten values, the others at the class's own.
        expected = np.full((10, 10), 120 * kappa) + np.eye(10) * 1200 * (1 - kappa)
        assert (counts == expected).all()


def test_shapes_and_colours_are_balanced_and_apart() -> None:
    shapes = shape_patterns().reshape(10, -1).astype(int)
    assert len(SHAPES) == 10
    assert (shapes @ shapes.T == 144 * np.eye(10)).all()  # orthogonal
    assert (shapes.sum(1) == 0).all()
    mirrored = shape_patterns()[:, :, ::-1].reshape(10, -1)
    assert all((mirrored[i] == shapes[i]).all() or (mirrored[i] == -shapes[i]).all() for i in range(10))
    colours = np.array(COLOURS) / 1000
    assert np.linalg.norm(colours, axis=1) == pytest.approx(3**0.5, abs=1e-3)
    cosines = np.abs(colours @ colours.T / 3) - np.eye(10)
    assert np.degrees(np.arccos(cosines.max())) == pytest.approx(41.8, abs=0.1)


def test_the_mean_image_is_independent_of_the_class() -> None:
    images, labels = generate("train", 0.0)
    means = np.stack([images[labels == k].mean(0) for k in range(10)])
    noise = images.std() / 1200**0.5
    assert np.abs(means - means.mean(0)).max() < 6 * noise


def test_training_and_test_images_differ() -> None:
    train, test = generate("train", 0.5)[0], generate("test", 0.5)[0]
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert len({image.tobytes() for image in train}) == 12_000


def test_it_loads_like_any_other_set() -> None:
    dataset = load(find("synthetic:kappa=1"))
    images, labels = generate("test", 1.0)
    assert torch.equal(dataset.test.images, torch.from_numpy(images))
    assert torch.equal(dataset.test.labels, torch.from_numpy(labels))
    assert dataset.train.labels.bincount().tolist() == [1200] * 10


def test_a_linear_model_finds_next_to_nothing() -> None:
    """Least squares on pixels, with a ridge chosen on the test set; `python -m xception synthetic` makes the full
    check.
    """
    images, labels = generate("train", DEFAULT_KAPPA)
    tests, truth = generate("test", DEFAULT_KAPPA)
    small = [
        x.reshape(len(x), 3, 16, 2, 16, 2).mean((3, 5), dtype=np.float32).reshape(len(x), -1) / 255
        for x in (images, tests)
    ]
    mean = small[0].mean(0)
    inputs, tests_in = small[0] - mean, small[1] - mean
    targets = np.eye(10, dtype=np.float32)[labels]
    gram = inputs.T @ inputs
    scores = []
    for ridge in (0.1, 10.0, 1000.0):
        weights = np.linalg.solve(gram + ridge * np.eye(len(gram), dtype=np.float32), inputs.T @ targets)
        scores.append(float((np.argmax(tests_in @ weights, 1) == truth).mean()))
    assert max(scores) <= 0.35


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from xception.commands import synthetic as command

    monkeypatch.setattr(command, "LINEAR_EPOCHS", 1)
    monkeypatch.setattr(command, "WEIGHT_DECAYS", (0.1,))
    monkeypatch.setattr(command, "network_accuracy", lambda dataset, seed, epochs: 0.9)
    threads = torch.get_num_threads()
    try:
        assert command.synthetic(["--seeds", "1", "--json", "--threads", str(threads)]) == 0
    finally:
        torch.set_num_threads(threads)
    document = json.loads(capsys.readouterr().out)
    assert document["kappa"] == DEFAULT_KAPPA
    assert 0 < document["rows"][0]["linear"] < 0.35
    with pytest.raises(SystemExit) as caught:
        command.synthetic(["--kappa", "2"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
