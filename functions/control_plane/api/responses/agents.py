"""Agents and numbers in responses of the HTTP API. PUT accepts what GET returns."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from control_plane import agent_directory
from control_plane.api.requests.agent_settings import AgentName, AgentSettings, NamedAgent
from control_plane.api.requests.fields import IN_PATH, ChangedAt, PhoneNumber, StrictModel
from control_plane.api.responses.calls import NextCursor, ResponseModel, to_datetime
from phonebridge.storage.cursor import encode_cursor


class AgentEntry(ResponseModel):
    """An agent in a list."""

    name: Annotated[str, Field(description="The agent's name.")]
    changed_at: Annotated[datetime, Field(description="When it was last changed.")]


class AgentList(ResponseModel):
    """A page of agents."""

    agents: Annotated[list[AgentEntry], Field(description="The agents, by name.")]
    cursor: NextCursor


class NumberResource(StrictModel):
    """A number and the agent that answers it. The response of GET can be sent back with PUT."""

    agent: Annotated[AgentName, Field(description="The agent that answers.")]
    number: Annotated[PhoneNumber | None, IN_PATH] = None
    changed_at: ChangedAt = None


class NumberList(ResponseModel):
    """A page of numbers."""

    numbers: Annotated[list[NumberResource], Field(description="The numbers, in order.")]
    cursor: NextCursor


def agent_resource(
    found: agent_directory.Agent, max_seconds: int, warnings: list[str]
) -> NamedAgent:
    """Return the agent as the next call would use it, with every default."""
    settings = AgentSettings.of(found.config().limited_to(max_seconds))
    return NamedAgent.model_construct(
        **dict(settings),
        name=found.name,
        changed_at=to_datetime(found.changed_at_ms),
        warnings=warnings,
    )


def agent_list(found: list[agent_directory.Agent], limit: int) -> AgentList:
    shown = [
        AgentEntry(name=each.name, changed_at=to_datetime(each.changed_at_ms)) for each in found
    ]
    cursor = encode_cursor(shown[limit - 1].name) if shown[limit:] else None
    return AgentList(agents=shown[:limit], cursor=cursor)


def number_resource(assigned: agent_directory.Assignment) -> NumberResource:
    changed_at = to_datetime(assigned.changed_at_ms)
    return NumberResource(number=assigned.number, agent=assigned.agent, changed_at=changed_at)


def number_list(found: list[agent_directory.Assignment], limit: int) -> NumberList:
    cursor = encode_cursor(found[limit - 1].number) if found[limit:] else None
    return NumberList(numbers=[number_resource(each) for each in found[:limit]], cursor=cursor)
