"""Whether every link of a folder of HTML pages leads somewhere: python .ci/links.py FOLDER

Pages, files and anchors inside the folder; addresses elsewhere are only counted, but nothing that a
page needs to be shown (scripts, styles, pictures) may lie there.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Anchors of a page, and (address, whether the page needs it) of all that it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """HTMLParser calls it for every element."""
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                style = tag == "link" and ("rel", "stylesheet") in attributes
                self.links.append((value or "", name == "src" or style))


def broken_links(folder: Path) -> tuple[list[str], int]:
    """A line per link that leads nowhere, and how many links there are."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        for address, needed in page.links:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                reason = "is fetched from elsewhere" if needed else ""
            else:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                reason = _reason(target, unquote(parts.fragment), pages)
            if reason:
                wrong.append(f"{path.relative_to(folder.resolve())}: {address} {reason}")
    return wrong, sum(len(page.links) for page in pages.values())


def _reason(target: Path, anchor: str, pages: dict[Path, Page]) -> str:
    if not target.is_file():
        return "does not exist"
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "has no such anchor"
    return ""


if __name__ == "__main__":
    found, count = broken_links(Path(sys.argv[1]))
    print(*found, f"{count} links, {len(found)} broken", sep="\n")
    sys.exit(bool(found) or not count)
