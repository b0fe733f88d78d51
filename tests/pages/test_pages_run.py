"""Every page runs: its Python, in order, and its commands; what they print is what the page says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from pages.blocks import ROOT, Page, pages
from pages.running import running
from pages.scene import EXAMPLES, scene

ELSEWHERE: Final = {
    "docs/how-to/django.md": "tests/contrib_django/page_walk.py",
    "docs/how-to/partner-profiles.md": "tests/foreign/test_partners_page.py",
}
"""Pages that another test runs."""
RUNS: Final = ("python", "console")
MOST_SKIPPED: Final = 7
"""Blocks that cannot run: each page says why, and this number only falls."""


def _run(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene(folder, monkeypatch) as here, running(page, here) as page_running:
        for each in _with_those_before(page):
            page_running.page = each
            for block in each.blocks():
                if block.skipped is None:
                    page_running.run(block)


def _with_those_before(page: Page) -> list[Page]:
    return [page] if page.continues is None else [*_with_those_before(page.continues), page]


def _continued() -> set[Page | None]:
    """Those that run before another page, and need no test of their own."""
    return {page.continues for page in pages()}


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in pages()
        if page.name not in ELSEWHERE and page not in _continued() and any(b.language in RUNS for b in page.blocks())
    ],
    ids=lambda page: page.name,
)
def test_a_page_runs(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(page, tmp_path, monkeypatch)


def test_few_blocks_are_skipped() -> None:
    skipped = [(page.name, block.line) for page in pages() for block in page.blocks() if block.skipped is not None]
    assert len(skipped) <= MOST_SKIPPED, skipped


def test_a_page_that_runs_elsewhere_is_named_there() -> None:
    for page, test in ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text("utf-8")


def a_page(folder: Path, text: str) -> Page:
    path = folder / "page.md"
    path.write_text(text, "utf-8")
    return Page(path)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```console\n$ ocpi-emsp --version\nocpi-emsp 0.0.0\n```\n",
        "```console\n$ echo one; echo two\none\n```\n",
        "```python\nawait print(1)\n```\n",
        '```python title="app.py"\nprint(1)\n```\n```console\n$ python app.py\n2\n```\n',
    ],
    ids=["python", "our command", "shell", "awaited", "file"],
)
def test_a_page_that_says_something_else_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, TypeError)):
        _run(a_page(tmp_path, text), tmp_path, monkeypatch)


def test_what_a_page_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, settings, servers, several lines, what varies, and what is left out."""
    text = """
```python title="app.py"
from ocpi_emsp import Emsp

emsp = Emsp(country_code="IT", party_id="BEC", name="B", url="http://127.0.0.1:8000/ocpi/emsp", store="memory")
app = emsp.asgi()
```

```console
$ export GREETING=hello
$ echo $GREETING \\
    there
hello there
$ printf 'STOP_SESSION VQhIrsxHdR4RRsu-_gZk7Y5-: NL-TNM says ACCEPTED'
STOP_SESSION 9RCuQtlBttFbRkacJkdv4ME4: NL-TNM says ACCEPTED
$ uvicorn app:app --port 8000 --no-use-colors
INFO:     Started server process [...]
INFO:     Waiting for application startup.
INFO:     Application startup complete.
INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)
$ curl --silent http://127.0.0.1:8000/ocpi/emsp/versions
{"status_code":2000,"status_message":"the Authorization header is missing",...}
$ ocpi-emsp matrix --format csv | head -1
module,direction,...
```

<!-- skip: next "no such module" -->

```python
import nowhere
```

<!-- invisible-code-block: python
import anyio
-->

```python
await anyio.sleep(0)
print("a", object())
```

```text
a <object object at ...>
```
"""
    _run(a_page(tmp_path, text), tmp_path, monkeypatch)


def test_a_page_imports_its_own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of an example project, which the tests of that project imported in the same process."""
    example = ModuleType("charging")
    example.__file__ = str(EXAMPLES / "django" / "charging" / "__init__.py")
    monkeypatch.setitem(sys.modules, "charging", example)
    text = '```python title="charging.py"\nprice = 1\n```\n```python\nfrom charging import price\n```\n'
    with monkeypatch.context() as patch:
        _run(a_page(tmp_path, text), tmp_path, patch)
    assert sys.modules["charging"] is example
