"""The inputs of partners that nobody here wrote: small files, each with its clause and the right outcome."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def cases(folder: str, pattern: str = "*") -> pytest.MarkDecorator:
    """Every file of a folder whose name matches, as the parameter ``case``."""
    files = sorted((FOLDER / folder).glob(f"{pattern}.json"))
    assert files, f"there is no {folder}/{pattern}.json"
    return pytest.mark.parametrize(
        "case", [pytest.param(json.loads(file.read_text("utf-8")), id=file.stem) for file in files]
    )


def named(folder: str, pattern: str = "*") -> dict[str, dict[str, Any]]:
    """Every case of a folder, by its name."""
    files = sorted((FOLDER / folder).glob(f"{pattern}.json"))
    assert files, f"there is no {folder}/{pattern}.json"
    return {file.stem: json.loads(file.read_text("utf-8"), parse_float=Decimal) for file in files}
