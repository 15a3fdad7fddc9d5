"""One trial carried out in a process."""

from __future__ import annotations

from ablations.execution.task import carry_out
from tests.command import call
from tests.trials import small_task
from xception.network.model import build
from xception.profile.complexity import complexity


def test_a_record_has_the_macs_that_a_pass_counts() -> None:
    task = small_task(0)
    record = carry_out(task, lambda row: None)
    assert record.macs == complexity(build(task.trial.model), (3, 8, 8), fvcore=False).macs > 0


def test_a_worker_does_not_load_the_compiler() -> None:
    code = "import sys; from tests.trials import small_task; from ablations.execution.task import carry_out\n"
    code += "print(carry_out(small_task(0), lambda row: None).status, 'torch._dynamo' in sys.modules)"
    assert call("-c", code).stdout.split() == ["complete", "False"]
