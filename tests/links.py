"""The links of a built site, checked against its pages and their anchors; nothing is fetched from the network.

python -m tests.links build/site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "link", "img", "iframe", "source", "video", "audio"}
SAID = {"canonical", "next", "prev", "alternate"}  # relations of <link> that load nothing


class Page(HTMLParser):
    """The anchors of a page, and what it links to and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Store an element's anchors and links."""
        given = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}
        is_loaded = tag in LOADED and given.get("rel") not in SAID
        self.links += [(value, is_loaded) for name in ("href", "src") if (value := given.get(name))]


def broken(site: Path) -> list[str]:
    """Return the broken links of a site, and what its pages load from other hosts."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.resolve().rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link, is_loaded in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https") or parts.netloc:
                if is_loaded:
                    found.append(f"{path.name}: loads {link}")
                continue
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                found.append(f"{path.name}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{path.name}: {link} has no such place")
    return found


if __name__ == "__main__":
    problems = broken(Path(sys.argv[1]))
    print("\n".join(problems) or "every link leads somewhere")
    sys.exit(bool(problems))
