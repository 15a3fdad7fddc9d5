"""Two processes that share a training give the result of one, except for the order of sums."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command import ROOT
from xception.data import load
from xception.data.config import AugmentConfig
from xception.data.names import find
from xception.network import presets
from xception.network.config import NormConfig
from xception.network.model import build
from xception.train.checkpoint import CheckpointFolder
from xception.train.confidence import unpack_confidence
from xception.train.distributed import ALONE, Group
from xception.train.loop import fit
from xception.train.recipe import SGD, Constant, Recipe

pytestmark = pytest.mark.numeric

FIGURES = ("test_loss", "test_accuracy", "test_top5_accuracy", "num_test")
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from tests.xception.train.float64 import train_in_float64
from tests.xception.train.test_distributed import train
from xception.train.distributed import join

torch.set_num_threads(1)
train_in_float64()
group, device = join("cpu")
out = Path(sys.argv[1])
# The second training continues from the last checkpoint of the first.
results = [train(out / "checkpoints", group, device) for _ in range(2)]
(out / f"process-{group.rank}.json").write_text(json.dumps(results))
torch.distributed.destroy_process_group()
"""


def train(checkpoints: Path, group: Group = ALONE, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Train a small network with every draw of augmentation; return the part of the result that a record stores."""
    source = find("synthetic", None)
    model = presets.get("cifar_tiny").for_data(num_classes=source.num_classes, in_channels=3, input_size=16)
    augment = AugmentConfig(flip=True, crop_padding=2, cutout=4, randaugment_operations=1, mixup_alpha=0.2)
    folder = CheckpointFolder(path=checkpoints, semantics=1, largest_share=1e9)
    result = fit(
        model=model.replace(norm=NormConfig(kind="group", groups=4)),
        recipe=Recipe(
            epochs=2,
            batch_size=20,
            optimizer=SGD(learning_rate=0.01),
            schedule=Constant(),
            ema_decay=0.9,
            augment=augment,
            gradient_clip=1.0,
        ),
        dataset=load(source, 16),
        data=source.config(image_size=16, train_size=85, val_size=31, test_size=33),
        seed=3,
        device=device,
        group=group,
        checkpoints=folder if group.rank == 0 else None,
    )
    return {
        "curves": result.curves,
        **{name: getattr(result, name) for name in FIGURES},
        "predictions": (result.predictions or b"").hex(),
        "confidence": None if result.confidence is None else unpack_confidence(result.confidence).count.tolist(),
        "weights": [tensor.double().norm().item() for tensor in result.model.state_dict().values()],
    }


def test_two_processes_come_to_the_result_of_one_and_continue_from_a_checkpoint(
    tmp_path: Path, in_float64: None
) -> None:
    alone = train(tmp_path / "alone")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    torchrun = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command = [sys.executable, *torchrun, "--nproc-per-node", "2", str(program), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in range(2))
    # Both processes have the same result, and a checkpoint of the first can be continued in any number of processes.
    assert first == second
    assert first[0] == first[1]
    assert train(tmp_path / "checkpoints")["weights"] == first[0]["weights"]
    for ours, theirs in zip(first[0]["curves"], alone["curves"], strict=True):
        assert ours["epoch"] == theirs["epoch"]
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-9)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-9)
        assert ours["val_accuracy"] == theirs["val_accuracy"]
    assert first[0]["weights"] == pytest.approx(alone["weights"], rel=1e-9, abs=1e-12)
    assert first[0]["test_loss"] == pytest.approx(alone["test_loss"], rel=1e-9)
    for name in ("test_accuracy", "test_top5_accuracy", "num_test", "predictions", "confidence"):
        assert first[0][name] == alone[name]


def network(kind: str) -> torch.nn.Module:
    norm = NormConfig(kind="group", groups=4) if kind == "group" else NormConfig()
    return build(presets.get("cifar_tiny").for_data(num_classes=10, in_channels=3, input_size=16).replace(norm=norm))


@pytest.mark.parametrize(
    ("norm", "size", "recipe", "word"),
    [
        ("group", 3, Recipe(epochs=1, batch_size=128), "batch_size: 128"),
        ("batch", 2, Recipe(epochs=1), "group norm"),
        ("batch", 2, Recipe(epochs=1, batch_norm_shares=4), "torchrun --nproc-per-node 4"),
        ("batch", 1, Recipe(epochs=1, batch_norm_shares=2), "torchrun --nproc-per-node 2"),
        ("group", 2, Recipe(epochs=1, batch_norm_shares=2), "no effect"),
    ],
)
def test_what_does_not_go_over_so_many_processes_is_told(norm: str, size: int, recipe: Recipe, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Group(size=size).prepare(network(norm), recipe, torch.device("cpu"))


def test_what_goes_is_left_as_it_is_on_a_cpu() -> None:
    for norm, group, recipe in (
        ("batch", ALONE, Recipe(epochs=1)),
        ("batch", Group(size=2), Recipe(epochs=1, batch_norm_shares=2)),
        ("group", Group(size=2), Recipe(epochs=1)),
    ):
        model = network(norm)
        assert group.prepare(model, recipe, torch.device("cpu")) is model


def test_batch_norm_is_synchronised_between_gpus() -> None:
    prepared = Group(size=2).prepare(network("batch"), Recipe(epochs=1), torch.device("cuda"))
    kinds = {type(module) for module in prepared.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)}
    assert kinds == {torch.nn.SyncBatchNorm}


def test_shares_of_a_batch_are_all_of_it_once() -> None:
    shares = [Group(rank=rank, size=4).share(12) for rank in range(4)]
    assert [(share.start, share.stop) for share in shares if share] == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert ALONE.share(12) is None


def test_a_recipe_wants_as_many_shares_as_divide_its_batch() -> None:
    with pytest.raises(ValueError, match="batch_norm_shares: 3"):
        Recipe(epochs=1, batch_size=128, batch_norm_shares=3)
