"""Calls every route of the API with a client that openapi-python-client generated.

Arguments: the folder of that `phonebridge_client`, the URL of the API, and the id of a streaming
call. `tests/end_to_end/test_generated_clients.py` runs it in the environment of the generator.
"""

import sys
from http import HTTPStatus
from typing import Any

sys.path.insert(0, sys.argv[1])

from phonebridge_client import Client
from phonebridge_client.api.agents import delete_agent, get_agent, list_agents, put_agent
from phonebridge_client.api.browser_calls import create_browser_call, renew_browser_media
from phonebridge_client.api.calls import create_call, get_call, get_call_status, list_calls
from phonebridge_client.api.document import get_openapi
from phonebridge_client.api.live_calls import (
    dtmf,
    hangup,
    interrupt,
    mute,
    say,
    transfer,
    unmute,
    update,
)
from phonebridge_client.api.numbers import delete_number, get_number, list_numbers, put_number
from phonebridge_client.models import (
    CreateBrowserCall,
    CreateCall,
    DtmfRequest,
    FunctionSettings,
    HangUpRequest,
    NamedAgent,
    NumberResource,
    SayRequest,
    ServerVad,
    TransferRequest,
    UpdateRequest,
)

# A status that the document lacks for a route is an error, not None.
client = Client(base_url=sys.argv[2], raise_on_unexpected_status=True)
CALL, NUMBER, AGENT = sys.argv[3], "+15550100", "reception"


def parsed(status: HTTPStatus, answered: Any) -> Any:
    assert answered.status_code == status, (answered.status_code, answered.content)
    return answered.parsed


def agents_and_numbers() -> None:
    book = FunctionSettings(
        name="book", url="https://practice.example/book", secret="of-sixteen-or-more"
    )
    wanted = NamedAgent(
        voice="cedar", turn_detection=ServerVad(type_="server_vad", threshold=0.7), tools=[book]
    )
    parsed(HTTPStatus.OK, put_agent.sync_detailed(AGENT, client=client, body=wanted))
    read = parsed(HTTPStatus.OK, get_agent.sync_detailed(AGENT, client=client))
    assert (read.voice, read.turn_detection.threshold) == ("cedar", 0.7)
    # What was read is written back unchanged.
    again = parsed(HTTPStatus.OK, put_agent.sync_detailed(AGENT, client=client, body=read))
    assert again.tools == read.tools
    listed = parsed(HTTPStatus.OK, list_agents.sync_detailed(client=client, limit=1))
    assert [each.name for each in listed.agents] == [AGENT]

    number = NumberResource(agent=AGENT)
    put = parsed(HTTPStatus.OK, put_number.sync_detailed(NUMBER, client=client, body=number))
    assert parsed(HTTPStatus.OK, get_number.sync_detailed(NUMBER, client=client)) == put
    assert put in parsed(HTTPStatus.OK, list_numbers.sync_detailed(client=client)).numbers


def calls() -> None:
    wanted = CreateCall(to="+15550123", agent=AGENT)
    created = parsed(
        HTTPStatus.CREATED,
        create_call.sync_detailed(client=client, body=wanted, idempotency_key="order-1042"),
    )
    record = parsed(HTTPStatus.OK, get_call.sync_detailed(created.call_id, client=client))
    assert (record.call_id, record.agent) == (created.call_id, AGENT)
    parsed(HTTPStatus.OK, get_call_status.sync_detailed(created.call_id, client=client))
    listed = parsed(HTTPStatus.OK, list_calls.sync_detailed(client=client, limit=100))
    assert created.call_id in [each.call_id for each in listed.calls]


def a_browser_call() -> None:
    wanted = CreateBrowserCall(agent=AGENT)
    created = parsed(
        HTTPStatus.CREATED, create_browser_call.sync_detailed(client=client, body=wanted)
    )
    renewed = parsed(
        HTTPStatus.CREATED, renew_browser_media.sync_detailed(created.call_id, client=client)
    )
    assert renewed.call_id == created.call_id


def a_live_call() -> None:
    keys = DtmfRequest(digits="1w2")
    target = TransferRequest(to="+15550142")
    steered = [
        say.sync_detailed(CALL, client=client, body=SayRequest(text="Your table is ready.")),
        update.sync_detailed(CALL, client=client, body=UpdateRequest(instructions="Be brief.")),
        interrupt.sync_detailed(CALL, client=client),
        mute.sync_detailed(CALL, client=client),
        unmute.sync_detailed(CALL, client=client),
        dtmf.sync_detailed(CALL, client=client, body=keys),
        transfer.sync_detailed(CALL, client=client, body=target),
        hangup.sync_detailed(CALL, client=client, body=HangUpRequest(say="Goodbye!")),
    ]
    for answered in steered:
        assert parsed(HTTPStatus.ACCEPTED, answered).call_id == CALL


def errors() -> None:
    unknown = parsed(HTTPStatus.NOT_FOUND, get_call.sync_detailed("nobody", client=client))
    assert unknown.error.code == "unknown_call"
    body = CreateCall(to="555 0123")
    refused = parsed(
        HTTPStatus.UNPROCESSABLE_ENTITY, create_call.sync_detailed(client=client, body=body)
    )
    assert refused.error.details[0].field == "to"


def the_end() -> None:
    in_use = parsed(HTTPStatus.CONFLICT, delete_agent.sync_detailed(AGENT, client=client))
    assert in_use.error.code == "agent_in_use"
    parsed(HTTPStatus.NO_CONTENT, delete_number.sync_detailed(NUMBER, client=client))
    parsed(HTTPStatus.NO_CONTENT, delete_agent.sync_detailed(AGENT, client=client))
    assert parsed(HTTPStatus.OK, get_openapi.sync_detailed(client=client))["openapi"] == "3.1.0"


for step in (agents_and_numbers, calls, a_browser_call, a_live_call, errors, the_end):
    step()
