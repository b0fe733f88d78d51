"""The inputs of partners that nobody here wrote: small files, each with its clause and the right outcome."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def cases(folder: str, pattern: str = "*") -> pytest.MarkDecorator:
    """Every file of a folder whose name matches, as the parameter ``case``."""
    files = sorted((FOLDER / folder).glob(f"{pattern}.json"))
    assert files, f"there is no {folder}/{pattern}.json"
    return pytest.mark.parametrize(
        "case", [pytest.param(json.loads(file.read_text("utf-8")), id=file.stem) for file in files]
    )
