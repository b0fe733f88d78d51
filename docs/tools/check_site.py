"""Looks at every page of the built site in Chromium: ``python docs/tools/check_site.py`` (make docs-check).

Rules of this module:
- a page fails for a message of level error in its console, a request that fails or goes elsewhere than to the site, a
  link of the site without a target, and content wider than the window at 400 or 1280 pixels;
- each question of the first page, typed into the search, finds a page that answers it;
- the site is served on loopback while it is looked at; Chromium is Debian's, and driven through a pipe.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from attrs import define, field

from search_words import PHRASES

SITE: Final = Path(__file__).parents[2] / "build" / "site"
WIDTHS: Final = (400, 1280)
"""Of a telephone, and of a desk."""
LIFETIME: Final = 600.0
"""Seconds after which Chromium is ended, whatever it does."""
_LINKS: Final = "[...document.querySelectorAll('a[href]')].map(link => link.href)"
_ANCHORS: Final = "[...document.querySelectorAll('[id]')].map(element => element.id)"
_OVERFLOW: Final = """(async () => {
  const ended = Promise.all(document.getAnimations().map(each => each.finished.catch(() => null)));
  await Promise.race([ended, new Promise(done => setTimeout(done, 2000))]);
  scrollTo({left: 9999, behavior: 'instant'});
  return scrollX;
})()"""
"""How far the page scrolls sideways, once what moved at the resize stands still."""
_QUESTIONS: Final = """[...document.querySelectorAll('article tbody tr')].map(row =>
  [row.cells[0].innerText, [...row.cells[1].querySelectorAll('a')].map(link => link.href)])"""
"""The questions of the first page, and the pages that answer them."""
_SEARCHED: Final = """(async () => {
  const input = document.querySelector('.md-search__input');
  const found = () => [...document.querySelectorAll('.md-search-result__item > a')].map(link => link.href);
  const type = text => {
    input.value = text;
    for (const name of ['keyup', 'input']) input.dispatchEvent(new Event(name, {bubbles: true}));
  };
  const until = async is => {
    for (let tries = 0; tries < 100 && !is(); tries++) await new Promise(done => setTimeout(done, 50));
  };
  input.focus();
  type('');
  await until(() => !found().length);
  type(%s);
  let last = '', times = 0;
  await until(() => {
    const now = found().join(' ');
    times = now && now === last ? times + 1 : 0;
    last = now;
    return times > 5;
  });
  return found();
})()"""
"""What the search shows for a text, once it shows the same for a while."""
_WARMED: Final = """(async () => {
  const found = () => document.querySelector('.md-search-result__item');
  const input = document.querySelector('.md-search__input');
  for (let tries = 0; tries < 60 && !found(); tries++) {
    input.value = tries % 2 ? 'CPO' : 'location';
    for (const name of ['keyup', 'input']) input.dispatchEvent(new Event(name, {bubbles: true}));
    await new Promise(done => setTimeout(done, 1000));
  }
})()"""
"""Waits until the search has read its index: a busy machine takes a while."""
MOST_RESULTS: Final = 5
"""Results among which the answer to a question is."""


@define
class Chromium:
    """A tab, driven by the DevTools protocol: JSON documents that end with a NUL."""

    writes: IO[bytes]
    reads: IO[bytes]
    session: str = ""
    events: list[dict[str, Any]] = field(factory=list)
    _ids: Iterator[int] = field(factory=lambda: itertools.count(1))

    def call(self, method: str, **params: Any) -> Any:
        """The result of a method; events that come meanwhile are collected. Raises RuntimeError."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.writes.write(json.dumps(message).encode() + b"\0")
        self.writes.flush()
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait_for(self, name: str) -> None:
        """Collect events until one with this name comes."""
        while not any(event["method"] == name for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def _read(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self.reads.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium ended")
            read += byte
        message: dict[str, Any] = json.loads(read)
        return message


@contextlib.contextmanager
def chromium() -> Iterator[Chromium]:
    """A tab of a headless Chromium, which ends with the block."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    commands, writes = os.pipe()
    reads, answers = os.pipe()
    options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe --no-first-run"
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(
            [
                "sh",
                "-c",
                f'exec "{program}" {options} --user-data-dir="{profile}" about:blank 3<&{commands} 4>&{answers}',
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        os.close(commands)
        os.close(answers)
        late = threading.Timer(LIFETIME, process.kill)
        late.daemon = True
        late.start()
        try:
            with os.fdopen(writes, "wb") as to, os.fdopen(reads, "rb") as back:
                tab = _tab(Chromium(to, back))
                yield tab
                tab.session = ""
                tab.call("Browser.close")
                process.wait(10)
        finally:
            late.cancel()
            process.kill()


def _tab(browser: Chromium) -> Chromium:
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
    return browser


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The site on loopback: its origin."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@define
class Seen:
    """What was found on the pages, by URL."""

    links: dict[str, list[str]] = field(factory=dict)
    anchors: dict[str, set[str]] = field(factory=dict)
    faults: list[str] = field(factory=list)


def look(tab: Chromium, origin: str, path: str, seen: Seen) -> None:
    """Open a page, and note what is wrong with it."""
    tab.events.clear()
    url = f"{origin}/{path}"
    tab.call("Emulation.setDeviceMetricsOverride", width=WIDTHS[0], height=800, deviceScaleFactor=1, mobile=False)
    tab.call("Page.navigate", url=url)
    tab.wait_for("Page.loadEventFired")
    seen.links[url], seen.anchors[url] = tab.value(_LINKS), set(tab.value(_ANCHORS))
    for width in WIDTHS:
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        if wider := tab.value(_OVERFLOW):
            seen.faults.append(f"{path}: {wider} pixels wider than {width}")
    seen.faults += [f"{path}: {fault}" for event in tab.events for fault in _faults(event, origin)]


def _faults(event: dict[str, Any], origin: str) -> Iterator[str]:
    params = event.get("params", {})
    match event.get("method"):
        case "Runtime.exceptionThrown":
            yield params["exceptionDetails"]["text"]
        case "Log.entryAdded" if params["entry"]["level"] == "error":
            yield params["entry"]["text"]
        case "Runtime.consoleAPICalled" if params["type"] == "error":
            yield " ".join(str(each.get("value", "")) for each in params["args"])
        case "Network.requestWillBeSent" if not params["request"]["url"].startswith((origin, "data:", "blob:")):
            yield f"asks {params['request']['url']}"
        case "Network.responseReceived" if params["response"]["status"] >= 400:
            yield f"{params['response']['status']} for {params['response']['url']}"


def dead_links(seen: Seen, origin: str, folder: Path) -> Iterator[str]:
    """Links of the site without a page, a file or a place."""
    for url, links in seen.links.items():
        for link in dict.fromkeys(links):
            target, anchor = urldefrag(urljoin(url, link))
            if not target.startswith(f"{origin}/"):
                continue
            page = target if not target.endswith("/") else f"{target}index.html"
            if not (folder / unquote(page.removeprefix(f"{origin}/"))).is_file():
                yield f"{url.removeprefix(origin)}: {link} leads nowhere"
            elif anchor and page in seen.anchors and unquote(anchor) not in seen.anchors[page]:
                yield f"{url.removeprefix(origin)}: no place {anchor} in {page.removeprefix(origin)}"


def unanswered(tab: Chromium, origin: str) -> Iterator[str]:
    """Questions of the first page, and what people type, that the search answers with other pages."""
    tab.events.clear()
    tab.call("Page.navigate", url=f"{origin}/index.html")
    tab.wait_for("Page.loadEventFired")
    questions = tab.value(_QUESTIONS)
    if not questions:
        yield "index.html has no questions to search for"
    for page, phrases in PHRASES.items():
        place = f"{origin}/{page.removesuffix('index.md').removesuffix('.md')}".rstrip("/")
        questions += [(phrase, [f"{place}/"]) for phrase in phrases]
    tab.value("document.querySelector('label[for=__search]').click()")
    tab.value(_WARMED)
    for question, answers in questions:
        pages = [urldefrag(link)[0].partition("?")[0] for link in tab.value(_SEARCHED % json.dumps(question))]
        if not set(answers) & set(pages[:MOST_RESULTS]):
            yield f"the search for '{question}' finds {', '.join(pages[:MOST_RESULTS]) or 'nothing'}"


def check(folder: Path = SITE) -> list[str]:
    """What is wrong with the pages of a folder."""
    seen = Seen()
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
    with served(folder) as origin, chromium() as tab:
        for path in paths:
            look(tab, origin, path, seen)
        seen.faults += dead_links(seen, origin, folder)
        if (folder / "search").is_dir():
            seen.faults += unanswered(tab, origin)
    sys.stdout.write(f"looked at {len(paths)} pages\n")
    return seen.faults


if __name__ == "__main__":
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE)
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    sys.exit(1 if found else 0)
