"""What is answered is what the description says, whoever asks: schemathesis draws and checks (make fuzz goes on)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from openapi.conformance import Case, cases, conforms, operations

EXAMPLES = 3
"""Each is made eight times: by everybody who may ask, through both doors."""


@pytest.mark.parametrize("name", operations())
def test_every_answer_is_described(name: str) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(cases([name]))
    def check(case: Case) -> None:
        conforms(case)

    check()
