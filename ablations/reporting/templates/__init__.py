"""The templates of the HTML that we write, rendered with everything escaped and no name left undefined."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["read", "render"]


def render(template: str, **values: object) -> str:
    """Return the template filled with the values; text among them is escaped."""
    return environment().get_template(template).render(**values)


def read(name: str) -> Markup:
    """Return a file beside the templates (our own style or script) as it is."""
    from markupsafe import Markup

    return Markup(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))


@functools.cache
def environment() -> Environment:
    """Return the one environment, without access to anything but our templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ablations.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
