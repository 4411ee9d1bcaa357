"""What the HTTP API may be asked for; `api_answers.py` holds what it says."""

import json
import math
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import Field

from agent_settings import AgentSettings
from directory import Agent
from fields import Form, InvalidField, PhoneNumber, StrictRequest
from phonebridge.call_config import CallConfig
from phonebridge.errors import Unreadable

MOST_DIGITS = 100

CallId = Annotated[str, Path()]
AGENT_NAME = Form(r"^[a-z0-9-]{1,64}$", "must be 1 to 64 of a-z, 0-9 and -")
AgentName = Annotated[str, AGENT_NAME, Field(examples=["reception"])]


class AssignNumber(StrictRequest):
    agent: AgentName


class CreateCall(AgentSettings):
    to: PhoneNumber
    agent: Annotated[
        AgentName | None, Field(description="Whose settings hold where this request has none.")
    ] = None
    from_: Annotated[PhoneNumber | None, Field(alias="from")] = None
    metadata: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[str, Field(max_length=512)],
        ]
        | None,
        Field(max_length=16),
    ] = None

    @property
    def fingerprint(self) -> str:
        """The same for requests that ask for the same."""
        asked = self.model_copy(update={"metadata": self.metadata or {}})
        return sha256(asked.model_dump_json().encode()).hexdigest()

    def caller(self, default: str) -> str:
        if not (self.from_ or default):
            raise InvalidField("from", "is required, since TELNYX_FROM_NUMBER is not set")
        return self.from_ or default

    def config(self, longest_seconds: int, agent: Agent | None = None) -> CallConfig:
        return replace(super().config(longest_seconds, agent), metadata=self.metadata or {})


def read_json_object(text: str) -> dict[str, Any]:
    """Stricter than RFC 8259 asks for, where senders and readers are known to disagree: no NaN, no
    infinity, not even as a number too large to be held, no name twice. A byte order mark is
    overlooked, as section 8.1 allows."""
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise Unreadable("The body is nested too deeply.") from error
    except ValueError as error:
        raise Unreadable(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable("The body must be a JSON object.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def _integer(digits: str) -> int:
    # One that is longer would be refused in words of Python's.
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
