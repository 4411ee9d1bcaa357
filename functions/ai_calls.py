"""/api/ai-calls: place and watch calls; `live_calls.py` steers and ends them. Its counterpart is
any HTTP client."""

import json
import uuid
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from botocore.exceptions import BotoCoreError, ClientError

import agents
import api_answers
import live_calls
from agent_settings import carried
from api import about, answer, app, documented, handler
from api_answers import CallList, WarnedCall
from api_requests import CallId, CreateCall
from call_records import whole_call
from control_plane import ControlPlane, control_plane, log
from directory import Agent
from fields import InvalidField
from phonebridge.call import Call, Direction
from phonebridge.errors import DialFailed, KeyReused, UnknownAgent
from phonebridge.store import Claim, written
from record_answers import WholeCall

__all__ = ["app", "handler"]

DIAL_FAILED = "dial_failed"  # as the switchboard calls it

app.include_router(agents.router)
app.include_router(live_calls.router)

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)
]


@app.post(
    "/api/ai-calls/create",
    summary="Place a call",
    responses=documented(
        {201: "The call is being dialled"},
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def create(wanted: CreateCall, idempotency_key: IdempotencyKey = None) -> Response[WarnedCall]:
    plane = control_plane()
    earlier = _placed_before(plane, wanted, idempotency_key) if idempotency_key else None
    call = earlier or _placed(plane, wanted, idempotency_key)
    headers = {"Idempotency-Replayed": "true"} if earlier else {}
    return answer(HTTPStatus.CREATED, api_answers.warned(call, wanted.warnings), headers)


@app.get(
    "/api/ai-calls/status",
    summary="List calls: live ones, or those that ended on a day",
    responses=documented({200: "Newest first"}, HTTPStatus.BAD_REQUEST),
)
def list_calls(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
    ended: bool = False,
    day: Annotated[date | None, Query(description="UTC; today by default")] = None,
) -> Response[CallList]:
    plane = control_plane()
    if ended:
        today = datetime.fromtimestamp(plane.now_ms() / 1000, UTC).date()
        page = plane.store.ended_on(str(day or today), cursor, limit)
    elif day:
        raise InvalidField("day", "goes with ended=true only")
    else:
        page = plane.store.live(cursor, limit)
    return answer(HTTPStatus.OK, api_answers.listed(page))


@app.get(
    "/api/ai-calls/<call_id>",
    summary="The whole record of a call",
    responses=documented({200: "The record"}, HTTPStatus.NOT_FOUND),
)
@app.get(
    "/api/ai-calls/<call_id>/status",
    summary="The whole record of a call",
    responses=documented({200: "The record"}, HTTPStatus.NOT_FOUND),
)
def get_call(call_id: CallId) -> Response[WholeCall]:
    return answer(HTTPStatus.OK, whole_call(control_plane(), call_id))


@app.get(
    "/api/openapi.json",
    summary="This document",
    responses=documented({200: "OpenAPI 3.1"}),
)
def openapi() -> dict[str, Any]:
    # The models of the whole specification, for this route alone.
    from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

    document: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Phonebridge",
            version="1",
            security_schemes={"bearerKey": HTTPBearer()},
            security=[{"bearerKey": []}],
        )
    )
    return document


def _placed_before(plane: ControlPlane, wanted: CreateCall, key: str) -> Call | None:
    """Whatever became since of what the first request named: its answer stands."""
    claim = plane.store.claimed(key, wanted.fingerprint)
    call = plane.store.load(_matching(claim).call_id) if claim else None
    if call and call.fault and call.fault.reason == DIAL_FAILED:
        with about(call.call_id):
            raise DialFailed(call.fault.detail)
    return call


def _placed(plane: ControlPlane, wanted: CreateCall, key: str | None) -> Call:
    plane.settings.require_dialing()
    agent = _agent(plane, wanted.agent) if wanted.agent else None
    config = carried(wanted.config(plane.longest_seconds, agent), plane.settings.model_audio)
    caller = wanted.caller(plane.settings.telnyx_from_number)
    written(config)  # for a request that is refused leaves its key free
    call_id = str(uuid.uuid4())
    if key:
        # Its call may be missing: the request that claimed the key may have died, or may be about
        # to place it. Either way it is placed once, for a record is created once.
        call_id = _matching(plane.store.claim_key(key, wanted.fingerprint, call_id)).call_id
    call = Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        to=wanted.to,
        from_=caller,
        created_at_ms=plane.now_ms(),
    )
    with about(call_id):
        plane.admission.admit()
        placed = plane.switchboard.place(call, config)
        _reserve(plane, placed)
    return placed


def _reserve(plane: ControlPlane, call: Call) -> None:
    try:
        plane.fleet.reserve(call)
    except (BotoCoreError, ClientError):
        # Another call may take its place; this one rings already.
        log.exception("reservation FAILED")


def _matching(claim: Claim) -> Claim:
    if not claim.matches:
        raise KeyReused("This Idempotency-Key was used with another body.")
    return claim


def _agent(plane: ControlPlane, name: str) -> Agent:
    try:
        return plane.directory.agent(name)
    except UnknownAgent as error:
        raise InvalidField("agent", "there is no agent of that name") from error
