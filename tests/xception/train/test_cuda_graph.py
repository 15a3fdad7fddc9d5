"""A recorded step does the same as an eager one; without CUDA, a simulated recording that runs the step again is
tested.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xception.train.stacked_training as stacked_training
import xception.train.trainer as trainer
from tests.xception.train.tiny_training import PLAIN, Training, tiny_model, tiny_recipe
from xception.train.cuda_graph import FixedBatch, RecordedStep
from xception.train.execution import QUICK
from xception.train.loop import FitResult
from xception.train.optimiser import WeightAverage, build_optimiser
from xception.train.recipe import SGD, AdamW, Cosine, Muon, Recipe, RMSprop, Transfer
from xception.train.seed_batch import Member, fit_members
from xception.train.step import Step, build_step

pytestmark = pytest.mark.numeric


class Recorder:
    """Replaces CUDA's graphs on a CPU: 'recording' runs nothing, repeating runs the step on the fixed memory."""

    def __init__(self) -> None:
        self.num_recorded = 0
        self.num_repeated = 0

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.num_recorded += 1
        result = torch.full((), torch.nan)

        def repeat() -> None:
            self.num_repeated += 1
            losses = run()
            result.resize_(losses.shape).copy_(losses)

        return repeat, result


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Make every training record its steps."""
    recorder = Recorder()

    def build(
        optimiser: Any,
        recipe: Any,
        average: Any,
        device: Any,
        *,
        cuda_graph: bool,
        num_members: int | None = None,
        **others: Any,
    ) -> Step:
        kind = partial(RecordedStep, record=recorder) if cuda_graph else Step
        return kind(optimiser, recipe, average, device, num_members=num_members)

    monkeypatch.setattr(trainer, "build_step", build)
    monkeypatch.setattr(stacked_training, "build_step", build)
    return recorder


def same(a: FitResult, b: FitResult) -> bool:
    states = a.model.state_dict(), b.model.state_dict()
    return a.curves == b.curves and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_recorded_steps_come_to_the_bits_of_plain_ones(
    tiny_training: Training, uninterrupted: FitResult, recorder: Recorder
) -> None:
    recorded = tiny_training()
    assert same(recorded, uninterrupted)
    assert recorded.how == {"cuda_graph": True}
    assert (recorder.num_recorded, recorder.num_repeated) == (1, 5)  # of 8 steps the first 3 are plain
    assert tiny_training(execution=PLAIN).how == {}
    assert recorder.num_recorded == 1


def test_recorded_steps_of_a_seed_batch_come_to_the_bits_of_plain_ones(
    tiny_training: Training, recorder: Recorder
) -> None:
    given = {name: value for name, value in tiny_training.keywords.items() if name != "seed"}  # type: ignore[attr-defined]
    given["model"] = tiny_model().replace_at("head.dropout", 0.3)
    both = [
        fit_members(**given, members=[Member(seed=0), Member(seed=1)], execution=execution)
        for execution in (QUICK, PLAIN)
    ]
    assert all(same(*pair) for pair in zip(*both, strict=True))
    assert both[0][0].how == {"cuda_graph": True, "seed_batch": 2}
    assert recorder.num_recorded == 1


def test_a_step_that_cannot_be_recorded_is_taken_as_it_is(
    tiny_training: Training, uninterrupted: FitResult, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    attempts = []

    def refuse(_: Recorder, run: Callable[[], Tensor]) -> Any:
        """Fail halfway, as CUDA does on an operator that waits for the host: gradients are in unwritten memory."""
        attempts.append(run)
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, torch.nan)
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be ...")

    parameters: list[nn.Parameter] = []
    monkeypatch.setattr(Recorder, "__call__", refuse)

    original = vars(trainer)["build_step"]  # as the fixture left it

    def build(optimiser: torch.optim.Optimizer, *rest: Any, **options: Any) -> Step:
        parameters.extend(p for group in optimiser.param_groups for p in group["params"])
        step: Step = original(optimiser, *rest, **options)
        return step

    monkeypatch.setattr(trainer, "build_step", build)
    result = tiny_training()
    assert same(result, uninterrupted)
    assert len(attempts) == 1
    assert result.how == {"cuda_graph": "not recorded: operation not permitted when stream is capturing"}
    assert [record.message for record in caplog.records if "could not be recorded" in record.message]


def test_memory_that_runs_out_while_recording_is_told_as_such(
    tiny_training: Training, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(_: Recorder, run: Callable[[], Tensor]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Recorder, "__call__", run_out)
    with pytest.raises(torch.OutOfMemoryError):
        tiny_training()


def test_what_thaws_is_recorded_anew(tiny_training: Training, recorder: Recorder, tmp_path: Any) -> None:
    from xception.network.weights import save as save_weights

    save_weights(tiny_training(recipe=tiny_recipe(epochs=1)).model, tmp_path / "weights.safetensors")
    recipe = tiny_recipe(transfer=Transfer(source=f"trial:{'0' * 64}", freeze="backbone", thaw_epoch=1))
    before = recorder.num_recorded
    results = [
        tiny_training(recipe=recipe, weights=tmp_path / "weights.safetensors", execution=execution)
        for execution in (QUICK, PLAIN)
    ]
    assert same(*results)
    assert recorder.num_recorded - before == 2


def test_a_batch_of_another_shape_or_type_is_refused() -> None:
    images, target = (
        torch.rand(4, 3, 8, 8).contiguous(memory_format=torch.channels_last),
        torch.zeros(4, dtype=torch.int64),
    )
    batch = FixedBatch(images, target)
    place = batch.images.data_ptr()
    batch.fill(images, target)
    assert (batch.images.data_ptr(), batch.images.stride()) == (place, images.stride())
    assert torch.equal(batch.images, images)
    with pytest.raises(ValueError, match=r"images: \(1, 3, 8, 8\)"):
        batch.fill(images[:1], target)
    with pytest.raises(ValueError, match=r"target: \(4,\) torch.float32"):
        batch.fill(images, target.float())


def test_a_cpu_takes_plain_steps() -> None:
    network = nn.Linear(2, 2)
    recipe = Recipe(epochs=1)
    step = build_step(build_optimiser(network, recipe), recipe, None, torch.device("cpu"), cuda_graph=True)
    assert type(step) is Step


def test_rates_and_averages_as_tensors_follow_those_as_numbers() -> None:
    """A graph must read the rate at each replay; of SGD's forms only the fused one takes a tensor without reading it
    back.
    """
    recipe = Recipe(
        epochs=2, optimizer=SGD(learning_rate=0.3, weight_decay=1e-3), schedule=Cosine(warmup_epochs=0.5), ema_decay=0.9
    )
    networks, steps = [], []
    for as_tensor in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        optimiser = build_optimiser(network, recipe)
        average = WeightAverage(network, 0.9)
        if as_tensor:
            for group in optimiser.param_groups:
                group |= {"lr": torch.tensor(group["lr"]), "foreach": False, "fused": True}
            average._weight = torch.zeros(())
        networks.append(network)
        steps.append(Step(optimiser, recipe, average, torch.device("cpu")))
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        images, target = torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)
        losses = []
        for network, step in zip(networks, steps, strict=True):
            step.prepare(recipe.schedule.factor(number, 20, 10))
            losses.append(step(network, images, target))
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0.0)
    rate = steps[1].optimiser.param_groups[0]["lr"]
    assert isinstance(rate, Tensor)
    assert float(rate) == pytest.approx(steps[0].optimiser.param_groups[0]["lr"])
    for step in steps:
        assert step.average is not None
    torch.testing.assert_close(steps[1].average.average, steps[0].average.average)  # type: ignore[union-attr]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "optimizer",
    [SGD(), RMSprop(learning_rate=1e-4), AdamW(learning_rate=1e-4), Muon()],
    ids=lambda o: type(o).__name__,
)
def test_a_graph_gives_the_losses_of_the_plain_path(tiny_training: Training, optimizer: Any, precision: Any) -> None:
    model = tiny_model().replace_at("head.dropout", 0.3).replace_at("residual.stochastic_depth", 0.4)
    recipe = tiny_recipe(epochs=5, optimizer=optimizer, precision=precision)
    graph, plain = (
        tiny_training(model=model, recipe=recipe, device="cuda", execution=execution) for execution in (QUICK, PLAIN)
    )
    assert graph.how["cuda_graph"]
    for row, other in zip(graph.curves, plain.curves, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4 if precision == "float32" else 1e-2)


@pytest.mark.gpu
def test_half_precision_on_a_gpu_takes_plain_steps(tiny_training: Training) -> None:
    assert tiny_training(recipe=tiny_recipe(precision="float16"), device="cuda").how == {}
