"""Reports on dependencies: bounds, licences, and a failed check that does not count as safe."""

from __future__ import annotations

import json

from tests.supply_chain import answered, licence, tree, unbounded


def test_every_dependency_has_an_upper_bound() -> None:
    assert unbounded() == []


def test_every_dependency_that_is_installed_states_its_licence() -> None:
    found = tree()
    assert {"torch", "numpy", "pillow", "optuna"} <= set(found)
    assert all(licence(distribution) for distribution in found.values())


def test_what_a_database_does_not_know_is_not_taken_for_safe() -> None:
    answer = {
        "dependencies": [
            {"name": "known", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1"}]},
            {"name": "skipped", "skip_reason": "not found"},
        ]
    }
    assert answered(["known", "bad", "skipped", "silent"], json.dumps(answer), "") == (
        ["bad 2: PYSEC-1"],
        {"skipped": "not found", "silent": "no answer"},
    )


def test_no_answer_is_reported_with_its_reason() -> None:
    assert answered(["a", "b"], "", "Traceback\nNo module named pip_audit\n") == (
        [],
        dict.fromkeys("ab", "No module named pip_audit"),
    )
