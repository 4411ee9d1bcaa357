"""/api/agents and /api/numbers: who answers, and how. The counterpart of the settings that
`POST /api/ai-calls/create` takes, kept under a name."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BeforeValidator

import agent_answers
from agent_answers import Agent, AgentList, ChangedAgent, Number, NumberList
from agent_settings import AgentSettings, carried
from api import answer, documented
from api_requests import AGENT_NAME, AgentName, AssignNumber
from control_plane import control_plane, log
from fields import E164, InvalidField, PhoneNumber
from phonebridge.cursor import place_of
from phonebridge.errors import AgentInUse, UnknownAgent

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

NameInPath = Annotated[AgentName, Path(alias="name")]
# Some senders write the plus of +1555… as %2B, and API Gateway hands a path on as it was sent.
NumberInPath = Annotated[PhoneNumber, BeforeValidator(unquote), Path(alias="number")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.put(
    "/api/agents/<name>",
    summary="Make an agent, or make it anew",
    responses=documented({200: "The agent, with what it takes by default"}),
)
def put_agent(name: NameInPath, wanted: AgentSettings) -> Response[ChangedAgent]:
    plane = control_plane()
    carried(wanted.config(plane.longest_seconds), plane.settings.model_audio)
    agent = plane.directory.put_agent(name, **wanted.given())
    log.info("agent changed", agent=name)
    return answer(HTTPStatus.OK, agent_answers.changed_agent(agent, wanted.warnings))


@router.get(
    "/api/agents",
    summary="List agents by name",
    responses=documented({200: "Names in order"}, HTTPStatus.BAD_REQUEST),
)
def list_agents(limit: Limit = 50, cursor: str | None = None) -> Response[AgentList]:
    after = place_of(cursor, AGENT_NAME.pattern)
    found = control_plane().directory.agents(after, limit + 1)
    return answer(HTTPStatus.OK, agent_answers.listed_agents(found, limit))


@router.get(
    "/api/agents/<name>",
    summary="How an agent behaves",
    responses=documented({200: "The agent"}, HTTPStatus.NOT_FOUND),
)
def get_agent(name: NameInPath) -> Response[Agent]:
    return answer(HTTPStatus.OK, agent_answers.agent(control_plane().directory.agent(name)))


@router.delete(
    "/api/agents/<name>",
    summary="Delete an agent that answers no number",
    responses=documented({204: "It is gone"}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def delete_agent(name: NameInPath) -> Response[None]:
    directory = control_plane().directory
    if numbers := directory.numbers_of(name):
        raise AgentInUse(name, numbers)
    directory.remove_agent(name)
    log.info("agent deleted", agent=name)
    return answer(HTTPStatus.NO_CONTENT, None)


@router.put(
    "/api/numbers/<number>",
    summary="Let an agent answer a number",
    responses=documented({200: "The number"}),
)
def put_number(number: NumberInPath, wanted: AssignNumber) -> Response[Number]:
    directory = control_plane().directory
    try:
        directory.agent(wanted.agent)
    except UnknownAgent as error:
        raise InvalidField("agent", "there is no agent of that name") from error
    assigned = directory.assign(number, wanted.agent)
    log.info("number assigned", number=number, agent=wanted.agent)
    return answer(HTTPStatus.OK, agent_answers.number(assigned))


@router.get(
    "/api/numbers",
    summary="List the numbers that agents answer",
    responses=documented({200: "Numbers in order"}, HTTPStatus.BAD_REQUEST),
)
def list_numbers(limit: Limit = 50, cursor: str | None = None) -> Response[NumberList]:
    after = place_of(cursor, E164.pattern)
    found = control_plane().directory.assignments(after, limit + 1)
    return answer(HTTPStatus.OK, agent_answers.listed_numbers(found, limit))


@router.get(
    "/api/numbers/<number>",
    summary="Which agent answers a number",
    responses=documented({200: "The number"}, HTTPStatus.NOT_FOUND),
)
def get_number(number: NumberInPath) -> Response[Number]:
    return answer(HTTPStatus.OK, agent_answers.number(control_plane().directory.assignment(number)))


@router.delete(
    "/api/numbers/<number>",
    summary="Let nobody answer a number",
    responses=documented({204: "It is free"}, HTTPStatus.NOT_FOUND),
)
def delete_number(number: NumberInPath) -> Response[None]:
    control_plane().directory.unassign(number)
    log.info("number released", number=number)
    return answer(HTTPStatus.NO_CONTENT, None)
