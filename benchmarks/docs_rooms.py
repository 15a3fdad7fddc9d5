"""The drawing of the rooms on the page about architecture."""

from __future__ import annotations

import re

__all__ = ["drawing"]


def drawing(architecture: str) -> str:
    """Return an SVG of the rooms of each package as boxes, the highest at the top, from the page's text."""
    packages: dict[str, list[str]] = {}
    for line in architecture.partition("```mermaid\n")[2].partition("```")[0].splitlines():
        if found := re.fullmatch(r"\s+subgraph (\w+)", line):
            packages[found[1]] = []
        elif found := re.fullmatch(r"\s+(\w+)\.\w+\[(\w+)\]", line):
            packages[found[1]].append(found[2])
    wide, high, gap = 220, 34, 70
    height = 90 + max(len(rooms) for rooms in packages.values()) * (high + 8)
    width = len(packages) * (wide + gap) - gap + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' font-family="sans-serif" font-size="15" text-anchor="middle">',
        "<title>Rooms of the three packages</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (package, rooms) in enumerate(packages.items()):
        left = 10 + number * (wide + gap)
        middle = left + wide // 2
        bottom = 60 + len(rooms) * (high + 8)
        lines += [
            f'<rect x="{left}" y="10" width="{wide}" height="{bottom}" rx="6" fill="#f2f5fa" stroke="#8296b4"/>',
            f'<text x="{middle}" y="40" font-weight="bold">{package}/</text>',
        ]
        for place, room in enumerate(rooms):
            top = 56 + place * (high + 8)
            lines += [
                f'<rect x="{left + 14}" y="{top}" width="{wide - 28}" height="{high}" rx="4" fill="#ffffff"'
                ' stroke="#b4c0d2"/>',
                f'<text x="{middle}" y="{top + 22}">{room}</text>',
            ]
        if number + 1 < len(packages):
            start, end = left + wide + 6, left + wide + gap - 6
            lines += [
                f'<path d="M{start} 90H{end}m-9 -6l9 6l-9 6" fill="none" stroke="#33486b" stroke-width="2"/>',
                f'<text x="{(start + end) // 2}" y="78" font-size="12">imports</text>',
            ]
    return "\n".join([*lines, "</svg>"]) + "\n"
