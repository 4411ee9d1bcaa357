"""/api/agents and /api/numbers: named agents, and the agent of each number. An agent stores the
settings that `POST /api/ai-calls/create` takes."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BeforeValidator

from control_plane.agent_directory import DynamoDirectory
from control_plane.api.document import WITH_BODY, responses_of
from control_plane.api.requests.agent_settings import (
    AGENT_NAME,
    AgentName,
    AgentSettings,
    NamedAgent,
)
from control_plane.api.requests.create_call import Cursor, Limit
from control_plane.api.requests.declared_tools import restore_secrets
from control_plane.api.requests.fields import E164, InvalidField, PhoneNumber
from control_plane.api.requests.supported import check_supported, warnings_of
from control_plane.api.resolver import respond
from control_plane.api.responses import agents
from control_plane.api.responses.agents import AgentList, NumberList, NumberResource
from control_plane.destinations import check_destinations, numbers_of
from control_plane.services import control_plane, log
from phonebridge.call.tools import Tools
from phonebridge.errors import AgentInUse, NotConfigured, UnknownAgent
from phonebridge.storage.cursor import decode_cursor

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

NameInPath = Annotated[AgentName, Path(alias="name", description="The agent's name.")]
# Some senders write the plus of +1555… as %2B, and API Gateway hands a path on as it was sent.
NumberInPath = Annotated[
    PhoneNumber,
    BeforeValidator(unquote),
    Path(alias="number", description=("The number in E.164 form.")),
]


@router.put(
    "/api/agents/<name>",
    operation_id="put_agent",
    summary="Create or replace an agent",
    tags=["agents"],
    responses=responses_of({200: "The agent, with every default."}, *WITH_BODY),
)
def put_agent(name: NameInPath, wanted: NamedAgent) -> Response[NamedAgent]:
    """Omitted fields return to their defaults. A secret that is sent back in its masked form is
    kept."""
    _check_same("name", wanted.name, name)
    plane = control_plane()
    wanted = _with_secrets(wanted, plane.directory, name)
    config = wanted.config(plane.max_call_seconds)
    check_supported(wanted, config, plane.settings)
    check_destinations(numbers_of(config), plane.settings)
    agent = plane.directory.put_agent(name, **wanted.overrides())
    log.info("agent changed", agent=name)
    warnings = warnings_of(wanted, plane.settings)
    body = agents.agent_resource(agent, plane.max_call_seconds, warnings)
    return respond(HTTPStatus.OK, body)


@router.get(
    "/api/agents",
    operation_id="list_agents",
    summary="List agents by name",
    tags=["agents"],
    responses=responses_of({200: "A page of agents."}),
)
def list_agents(limit: Limit = 50, cursor: Cursor = None) -> Response[AgentList]:
    after = decode_cursor(cursor, AGENT_NAME.regex)
    found = control_plane().directory.agents(after, limit + 1)
    return respond(HTTPStatus.OK, agents.agent_list(found, limit))


@router.get(
    "/api/agents/<name>",
    operation_id="get_agent",
    summary="Get an agent",
    tags=["agents"],
    responses=responses_of({200: "The agent, with every default."}, HTTPStatus.NOT_FOUND),
)
def get_agent(name: NameInPath) -> Response[NamedAgent]:
    """The response can be sent back with PUT. Secrets of tools are masked with asterisks."""
    plane = control_plane()
    agent = plane.directory.agent(name)
    warnings = warnings_of(AgentSettings.of(agent.config()), plane.settings)
    return respond(HTTPStatus.OK, agents.agent_resource(agent, plane.max_call_seconds, warnings))


@router.delete(
    "/api/agents/<name>",
    operation_id="delete_agent",
    summary="Delete an agent",
    tags=["agents"],
    responses=responses_of(
        {204: ("The agent was deleted.")}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
    ),
)
def delete_agent(name: NameInPath) -> Response[None]:
    directory = control_plane().directory
    if numbers := directory.numbers_of(name):
        raise AgentInUse(name, numbers)
    directory.remove_agent(name)
    log.info("agent deleted", agent=name)
    return respond(HTTPStatus.NO_CONTENT, None)


@router.put(
    "/api/numbers/<number>",
    operation_id="put_number",
    summary="Assign an agent to a number",
    tags=["numbers"],
    responses=responses_of({200: "The number and its agent."}, *WITH_BODY),
)
def put_number(number: NumberInPath, wanted: NumberResource) -> Response[NumberResource]:
    _check_same("number", wanted.number, number)
    directory = control_plane().directory
    try:
        directory.agent(wanted.agent)
    except UnknownAgent as error:
        problem = f"there is no agent `{wanted.agent}`; PUT /api/agents/{wanted.agent} makes it"
        raise InvalidField("agent", problem) from error
    assigned = directory.assign(number, wanted.agent)
    log.info("number assigned", number=number, agent=wanted.agent)
    return respond(HTTPStatus.OK, agents.number_resource(assigned))


@router.get(
    "/api/numbers",
    operation_id="list_numbers",
    summary="List the numbers with an agent",
    tags=["numbers"],
    responses=responses_of({200: "A page of numbers."}),
)
def list_numbers(limit: Limit = 50, cursor: Cursor = None) -> Response[NumberList]:
    after = decode_cursor(cursor, E164.regex)
    found = control_plane().directory.assignments(after, limit + 1)
    return respond(HTTPStatus.OK, agents.number_list(found, limit))


@router.get(
    "/api/numbers/<number>",
    operation_id="get_number",
    summary="Get the agent of a number",
    tags=["numbers"],
    responses=responses_of({200: "The number and its agent."}, HTTPStatus.NOT_FOUND),
)
def get_number(number: NumberInPath) -> Response[NumberResource]:
    return respond(
        HTTPStatus.OK, agents.number_resource(control_plane().directory.assignment(number))
    )


@router.delete(
    "/api/numbers/<number>",
    operation_id="delete_number",
    summary="Remove the agent from a number",
    tags=["numbers"],
    responses=responses_of({204: "The number has no agent any more."}, HTTPStatus.NOT_FOUND),
)
def delete_number(number: NumberInPath) -> Response[None]:
    control_plane().directory.unassign(number)
    log.info("number released", number=number)
    return respond(HTTPStatus.NO_CONTENT, None)


def _check_same(field: str, in_body: str | None, in_path: str) -> None:
    if in_body not in (None, in_path):
        raise InvalidField(field, f"must be `{in_path}` as in the path, or be left out")


def _with_secrets(wanted: NamedAgent, directory: DynamoDirectory, name: str) -> NamedAgent:
    """Replace masked secrets with the stored ones."""
    try:
        stored = directory.agent(name).config().tools
    except (UnknownAgent, NotConfigured):
        stored = Tools()
    tools = None if wanted.tools is None else restore_secrets(wanted.tools, stored)
    return wanted.model_copy(update={"tools": tools})
