"""README's Python, as written, passes mypy --strict and pyright."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_the_readme_is_typed(checker: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    snippets = tmp_path / "readme.py"
    snippets.write_text("\n".join(blocks))
    options = {
        "mypy": ["--strict", "--no-incremental", "--config-file", "/dev/null"],
        "basedpyright": ["--level", "error", "--pythonpath", sys.executable],
    }
    command = Path(sys.executable).with_name(checker)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    ran = subprocess.run(
        [command, *options[checker], str(snippets)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
