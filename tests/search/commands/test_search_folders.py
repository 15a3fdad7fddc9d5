"""Two searches of one space have a folder each; a search that is continued keeps its folder."""

from __future__ import annotations

import json
from pathlib import Path

from ablations.reporting.own_files import MANIFEST, replacing_own_files
from search.engine.search_plan import SearchPlan
from search.results.results_folder import search_folder
from tests.search.simulated import make_plan


def finish(plan: SearchPlan) -> Path:
    """Write the files of a search: a network that users may share, and the search's key."""
    folder = search_folder(plan)
    folder.parent.mkdir(exist_ok=True)
    with replacing_own_files(folder) as made:
        (made / "best").mkdir()
        (made / "best" / f"candidate_{plan.definition.seed}.json").write_text("{}", encoding="utf-8")
        content = {"search": plan.definition.key, "command": "x"}
        (made / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_searches_of_one_space_keep_their_networks(tmp_path: Path) -> None:
    plans = [make_plan(tmp_path, "table", seed=seed) for seed in range(3)]
    folders = [finish(plan) for plan in plans]
    assert [finish(plan) for plan in plans] == folders
    assert folders[0] == tmp_path / "searches" / "table"
    assert len(set(folders)) == 3
    assert [path.name for folder in folders for path in (folder / "best").iterdir()] == [
        f"candidate_{seed}.json" for seed in range(3)
    ]
