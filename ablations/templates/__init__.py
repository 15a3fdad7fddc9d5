"""The templates of the HTML that we write, rendered with everything escaped and no name left undefined."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]


def render(template: str, **values: object) -> str:
    """Return the template filled with the values; text among them is escaped."""
    return environment().get_template(template).render(**values)


@functools.cache
def environment() -> Environment:
    """Return the one environment, without access to anything but our templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ablations", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )
