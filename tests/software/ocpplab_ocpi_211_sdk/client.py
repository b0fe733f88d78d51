"""Calls of ocpplab-ocpi-211-sdk, one a line.

It runs in an environment of its own (``requirements.txt``). A line of standard input is a JSON object: ``base``,
``key`` (the Authorization header), ``call`` (such as ``locations.put_receiver_location``), ``path`` (arguments by
position) and ``body`` (arguments by name). The line that answers says what the SDK returned, as it read it, with the
headers, or what it raised. Arguments are made to the SDK's own types, so that its models write what is sent.
"""

from __future__ import annotations

import json
import sys
import typing
from typing import Any

from ocpplab_ocpi_211 import OcpiClient
from ocpplab_ocpi_211.core.api_error import ApiError
from ocpplab_ocpi_211.core.jsonable_encoder import jsonable_encoder
from ocpplab_ocpi_211.core.pydantic_utilities import parse_obj_as


def called(asked: dict[str, Any]) -> dict[str, Any]:
    client = OcpiClient(base_url=asked["base"], api_key=asked["key"], timeout=10)
    group, name = asked["call"].split(".")
    method = getattr(getattr(client, group).with_raw_response, name)
    types = typing.get_type_hints(method)
    body = {name: parse_obj_as(types[name], value) for name, value in asked["body"].items()}
    try:
        answer = method(*asked["path"], **body)
    except ApiError as error:
        return {"raised": type(error).__name__, "status": error.status_code, "body": jsonable_encoder(error.body)}
    return {"headers": dict(answer.headers), "answer": jsonable_encoder(answer.data)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(called(json.loads(line))), flush=True)
