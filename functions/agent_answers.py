"""Agents and numbers as the HTTP API answers them. What one `GET` answers, `PUT` takes."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

import directory
from agent_settings import AgentName, AgentSettings, NamedAgent
from api_answers import ApiAnswer, NextCursor, moment
from fields import PhoneNumber, StrictModel
from phonebridge.cursor import cursor_of


class AgentEntry(ApiAnswer):
    """An agent in a list."""

    name: Annotated[str, Field(description="The agent's name.")]
    changed_at: Annotated[datetime, Field(description="When it was last put.")]


class AgentList(ApiAnswer):
    """A page of agents."""

    agents: Annotated[list[AgentEntry], Field(description="The agents, by name.")]
    cursor: NextCursor


class Number(StrictModel):
    """A number and the agent that answers it. What was read can be put back unchanged."""

    agent: Annotated[AgentName, Field(description="The agent that answers.")]
    number: Annotated[
        PhoneNumber | None,
        Field(
            description="As in the path. A request may leave it out.",
            json_schema_extra={"readOnly": True},
        ),
    ] = None
    changed_at: Annotated[
        datetime | None,
        Field(
            strict=False,
            description="When it was last put. Ignored in requests.",
            json_schema_extra={"readOnly": True},
        ),
    ] = None


class NumberList(ApiAnswer):
    """A page of numbers."""

    numbers: Annotated[list[Number], Field(description="The numbers, in order.")]
    cursor: NextCursor


def agent(found: directory.Agent, longest_seconds: int, warnings: list[str]) -> NamedAgent:
    """As the next call would get it, with every default."""
    settings = AgentSettings.of(found.config().at_most(longest_seconds))
    return NamedAgent.model_construct(
        **dict(settings),
        name=found.name,
        changed_at=moment(found.changed_at_ms),
        warnings=warnings,
    )


def listed_agents(found: list[directory.Agent], limit: int) -> AgentList:
    shown = [AgentEntry(name=each.name, changed_at=moment(each.changed_at_ms)) for each in found]
    cursor = cursor_of(shown[limit - 1].name) if shown[limit:] else None
    return AgentList(agents=shown[:limit], cursor=cursor)


def number(assigned: directory.Assignment) -> Number:
    changed_at = moment(assigned.changed_at_ms)
    return Number(number=assigned.number, agent=assigned.agent, changed_at=changed_at)


def listed_numbers(found: list[directory.Assignment], limit: int) -> NumberList:
    cursor = cursor_of(found[limit - 1].number) if found[limit:] else None
    return NumberList(numbers=[number(each) for each in found[:limit]], cursor=cursor)
