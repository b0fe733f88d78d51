"""A file that nobody can read at one sitting is two files."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST = 500


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_every_file_is_under_500_lines(folder: str) -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert len(lengths) > 100
    too_long = {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length >= MOST}
    assert too_long == {}
