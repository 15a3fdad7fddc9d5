"""`--fields`: every field that `--set`, studies and spaces can name, with type, default, allowed values and meaning."""

from __future__ import annotations

import json
import shutil
import textwrap

from ablations.design.fields import catalogue

__all__ = ["list_fields"]


def list_fields(prefix: str, *, as_json: bool) -> int:
    """Print the fields at or below a dotted path, all of them without one; return the exit status.

    Raises:
        ValueError: there are none.
    """
    known = catalogue()
    found = [f for f in known.fields if not prefix or f.path == prefix or f.path.startswith(f"{prefix}.")]
    if not found:
        raise ValueError(f"--fields: {prefix!r} is not a field{known.suggest(prefix) or '; model, recipe or dataset'}")
    if as_json:
        print(json.dumps([field.described() for field in found], indent=1))
        return 0
    width = max(60, min(shutil.get_terminal_size().columns, 120))
    for field in found:
        row = field.described()
        of = f" ({row['of']})" if sum(f.path == field.path for f in found) > 1 else ""
        default = "" if row["default"] is None else f" = {row['default']}"
        print(f"{field.path}{default}  [{row['type']}]{of}")
        words = [row["meaning"], f"Allowed: {row['allowed']}."]
        if field.why_not_set is not None:
            words.append(f"Not with --set: {field.why_not_set}.")
        print(textwrap.fill(" ".join(words), width, initial_indent="    ", subsequent_indent="    "))
    return 0
