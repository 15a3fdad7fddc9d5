"""`--recipes`: the named recipes, each with its fields, source, purpose and measurements."""

from __future__ import annotations

import json
import shutil
import textwrap

from ablations.design.scales import SCALES
from xception.base.canonical import to_plain
from xception.train.recipes import RECIPES, get_recipe, meaning

__all__ = ["list_recipes"]


def list_recipes(*, as_json: bool) -> int:
    """Print the recipes; return the exit status."""
    rows = [
        {
            "name": name,
            "meaning": meaning(name),
            "scales": [scale.name for scale in SCALES.values() if scale.recipe == get_recipe(name)],
            "recipe": to_plain(get_recipe(name)),
        }
        for name in RECIPES
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    width = max(60, min(shutil.get_terminal_size().columns, 120))
    for row in rows:
        of = f"  (of scale {', '.join(row['scales'])})" if row["scales"] else ""
        print(f"{row['name']}{of}")
        print(textwrap.fill(str(row["meaning"]), width, initial_indent="    ", subsequent_indent="    "))
    return 0
