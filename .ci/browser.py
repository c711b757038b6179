"""Open every page of a site in Chromium: python .ci/browser.py SITE PICTURES

In light and dark, and in light on a narrow screen. Fails where a page writes an error or a warning
to the console, asks for something that is not there or lies elsewhere, or is wider than the screen,
and where the search finds nothing. Needs playwright and a `chromium` in the path.
"""

from __future__ import annotations

import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

SCREENS = {"light": ("light", 1280), "dark": ("dark", 1280), "narrow": ("light", 390)}
# A table, a reference, options, a notebook with formulas, tables and figures.
PICTURED = (
    *("README", "docs/api", "docs/command_line", "docs/checkpoints"),
    *("notebooks/01_reparameterize", "notebooks/02_cpu_latency"),
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def check(browser: Browser, root: str, pages: list[str], pictures: Path) -> list[str]:
    """A line per fault of a page on a screen."""
    faults: list[str] = []
    for screen, (scheme, width) in SCREENS.items():
        size: Any = {"width": width, "height": 900}
        context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
        for name in pages:
            where = f"{name}, {screen}: "
            tab = context.new_page()
            tab.on("console", partial(_told, faults, where))
            tab.on("pageerror", lambda error, where=where: faults.append(f"{where}{error}"))
            tab.on("request", partial(_asked, faults, where, root))
            tab.goto(root + name, wait_until="load")
            wide = tab.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                faults.append(f"{where}{wide} pixels wide; expected at most {width}")
            if name.removesuffix(".html") in PICTURED:
                tab.screenshot(path=pictures / f"{Path(name).stem}-{screen}.png", full_page=True)
            tab.close()
        context.close()
    return faults


def _told(faults: list[str], where: str, message: Any) -> None:
    if message.type in ("error", "warning"):
        faults.append(f"{where}{message.text}")


def _asked(faults: list[str], where: str, root: str, request: Any) -> None:
    if not request.url.startswith((root, "data:")):
        faults.append(f"{where}asks for {request.url}")


def search(browser: Browser, root: str, word: str) -> list[str]:
    """A fault where the site's own search does not find a word's page."""
    tab = browser.new_page()
    tab.goto(f"{root}search.html?q={word}")
    found = tab.locator(f"#search-results li a:has-text('{word}')")
    try:
        found.first.wait_for(timeout=10_000)
    except Exception as error:
        return [f"search: nothing about {word}: {error}"]
    return []


def main(site: Path, pictures: Path) -> int:
    """Exit code: 0 where there is no fault."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium in the path; Debian: apt-get install chromium", file=sys.stderr)
        return 2
    pictures.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    pages = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    pages.remove("index.html")  # which only leads on
    with sync_playwright() as engine:
        # Chromium refuses to run as root in its sandbox, as which containers run.
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        faults = check(browser, root, pages, pictures)
        faults += search(browser, root, "reparameterize")
        browser.close()
    server.shutdown()
    print(*faults, f"{len(pages)} pages on {len(SCREENS)} screens, {len(faults)} faults", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
