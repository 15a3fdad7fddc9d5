"""Tables as wide as the terminal: the least important columns are left out first, and are named."""

from __future__ import annotations

import pytest

from ablations.reporting.terminal import fitted

TABLE = """| Variant   |   n |   Test accuracy (%) |   Δ (pp) |   95 % interval of Δ (pp) | Verdict   |   Params |   Training per trial |
|:----------|----:|--------------------:|---------:|--------------------------:|:----------|---------:|---------------------:|
| a \\| b    |   3 |        70.00 ± 0.50 |        – |                         – | baseline  |    120 k |                3.1 s |
| c         |   3 |        72.00 ± 0.40 |    +2.00 |            [+1.00, +3.00] | helps     |    109 k |                2.3 s |

What is it? Everything that the caption says, in more words than a line of a terminal holds, twice over and once again.
"""  # noqa: E501


@pytest.mark.parametrize("width", [62, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = fitted(TABLE, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for word in ("Variant", "Test accuracy (%)", "Δ (pp)", "Verdict", "a \\| b", "+2.00", "What is it?"):
        assert word in text


def test_columns_go_by_importance_and_are_named() -> None:
    assert "Left out" not in fitted(TABLE, 200)
    first = fitted(TABLE, 120)
    assert "Left out at this width, and in the files: Training per trial." in first
    assert "Params" in first.splitlines()[0]
    assert "95 % interval" not in fitted(TABLE, 62).splitlines()[0]
    assert "95 % interval" in fitted(TABLE, 100).splitlines()[0]
