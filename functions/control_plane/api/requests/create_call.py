"""Requests of the HTTP API: bodies, path and query parameters, and how a body is parsed."""

import json
import math
import re
from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import BeforeValidator, Field

from control_plane.agent_directory import Agent
from control_plane.api.requests.agent_settings import AgentName, AgentSettings
from control_plane.api.requests.fields import InvalidField, PhoneNumber
from phonebridge.call.config import CallConfig
from phonebridge.errors import MalformedRequest

MAX_DIGITS = 100
MAX_EXACT = 2**53
"""A float holds every whole number up to this one."""

CallId = Annotated[str, Path(description="The `call_id` in the response of `create`.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description=(
            "Makes retries safe: requests with the same key and body take effect once. "
            "`create` remembers keys for a day. `dtmf` remembers the latest key of a "
            "call."
        ),
    ),
]


def _page_size(text: object) -> object:
    """Accept digits only. `int` would also accept `1_0`, `+5` and spaces."""
    if isinstance(text, str) and not re.fullmatch(r"[1-9][0-9]?|100", text):
        raise ValueError("must be a whole number from 1 to 100, such as 50")
    return text


def _truth(text: object) -> object:
    if isinstance(text, str) and text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text


def _day(text: object) -> object:
    """Accept only dates. Pydantic would also accept numbers and times of day."""
    if not isinstance(text, str):
        return text
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> date:
    raise ValueError("must be a date, such as 2026-11-25")


Limit = Annotated[
    int,
    BeforeValidator(_page_size),
    Query(
        description="Maximum number of entries per page.",
        json_schema_extra={"minimum": 1, "maximum": 100},
    ),
]
Cursor = Annotated[
    str | None,
    Query(description="The `cursor` of the previous page."),
]
Ended = Annotated[
    bool,
    BeforeValidator(_truth),
    Query(description="List calls that ended on a day, instead of live ones."),
]
Day = Annotated[
    date | None,
    BeforeValidator(_day),
    Query(
        description=("A UTC day, only with `ended=true`. Default: today."), examples=["2026-11-25"]
    ),
]


Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=512)],
    ]
    | None,
    Field(
        max_length=16,
        description=(
            "Your own key-value pairs. They are stored with the call and returned in its record."
        ),
        examples=[{"order": "1042"}],
    ),
]


class CreateCall(AgentSettings):
    """A call to place. Omitted fields are taken from the agent, or else have their defaults."""

    to: Annotated[PhoneNumber, Field(description="The number to call, in E.164 form.")]
    agent: Annotated[
        AgentName | None,
        Field(
            description=(
                "The name of an agent. Its settings apply to fields that this request omits."
            )
        ),
    ] = None
    from_: Annotated[
        PhoneNumber | None,
        Field(
            alias="from",
            description="The caller id, in E.164 form. Default: TELNYX_FROM_NUMBER.",
        ),
    ] = None
    metadata: Metadata = None

    def caller(self, default: str) -> str:
        if not (self.from_ or default):
            raise InvalidField("from", "is required, since TELNYX_FROM_NUMBER is not set")
        return self.from_ or default

    def config(self, max_seconds: int, agent: Agent | None = None) -> CallConfig:
        return replace(super().config(max_seconds, agent), metadata=self.metadata or {})


def fingerprint(body: dict[str, Any]) -> str:
    """Return the same hash for bodies with the same JSON, whatever the order of names and the white
    space. It covers the body as sent, not as parsed, so that a request repeated after an upgrade
    still matches."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. It must not contain NaN, infinity, numbers too large for a float, or a
    name twice, because parsers disagree about these. A byte order mark is ignored, as RFC 8259,
    section 8.1 allows."""
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_number,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise MalformedRequest("The body is nested too deeply.") from error
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The body must be a JSON object.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _number(digits: str) -> float | int:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:20]} is too large a number")
    # In JSON Schema 250.0 is an integer, and some languages write every number like that.
    return int(number) if number.is_integer() and abs(number) < MAX_EXACT else number


def _integer(digits: str) -> int:
    # One that is longer would be refused in words of Python's.
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
