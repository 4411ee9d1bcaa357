"""/api/ai-calls: place and watch calls; `api/live_calls.py` steers and ends them. Its
counterpart is any HTTP client."""

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from control_plane.agent_directory import Agent
from control_plane.api import agents, live_calls
from control_plane.api.document import WITH_BODY, document, responses_of
from control_plane.api.requests.create_call import (
    CallId,
    CreateCall,
    Cursor,
    Day,
    Ended,
    IdempotencyKey,
    Limit,
    fingerprint,
)
from control_plane.api.requests.fields import InvalidField
from control_plane.api.requests.supported import check_supported, warnings_of
from control_plane.api.resolver import app, call_context, handler, respond
from control_plane.api.responses import calls
from control_plane.api.responses.calls import CallList, CallWithWarnings
from control_plane.api.responses.record import CallDetails
from control_plane.call_record import call_details_of
from control_plane.destinations import check_destinations, is_simulated, numbers_of
from control_plane.services import ControlPlane, control_plane, log
from phonebridge.call.call import Call, Direction
from phonebridge.errors import DialFailed, IdempotencyKeyReused, UnknownAgent, UnknownNumber
from phonebridge.storage.call_store import Claim, encode_config

__all__ = ["app", "handler"]

DIAL_FAILED = "dial_failed"  # as the switchboard calls it

app.include_router(agents.router)
app.include_router(live_calls.router)


@app.post(
    "/api/ai-calls/create",
    operation_id="create_call",
    summary="Place a call",
    tags=["calls"],
    responses=responses_of(
        {201: "The call is being dialled."},
        *WITH_BODY,
        HTTPStatus.CONFLICT,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def create(
    wanted: CreateCall, idempotency_key: IdempotencyKey = None
) -> Response[CallWithWarnings]:
    plane = control_plane()
    sent = fingerprint(app.current_event.json_body)
    earlier = _find_placed(plane, idempotency_key, sent) if idempotency_key else None
    call = earlier or _place(plane, wanted, idempotency_key, sent)
    headers = {"Idempotency-Replayed": "true"} if earlier else {}
    warnings = warnings_of(wanted, plane.settings)
    return respond(HTTPStatus.CREATED, calls.call_with_warnings(call, warnings), headers)


@app.get(
    "/api/ai-calls/status",
    operation_id="list_calls",
    summary="List calls: live ones, or those that ended on a day",
    tags=["calls"],
    responses=responses_of({200: "A page of calls, newest first."}),
)
def list_calls(
    limit: Limit = 50, cursor: Cursor = None, ended: Ended = False, day: Day = None
) -> Response[CallList]:
    plane = control_plane()
    if ended:
        today = datetime.fromtimestamp(plane.now_ms() / 1000, UTC).date()
        page = plane.store.ended_on(str(day or today), cursor, limit)
    elif day:
        raise InvalidField("day", "goes with ended=true only")
    else:
        page = plane.store.live(cursor, limit)
    return respond(HTTPStatus.OK, calls.call_list(page))


@app.get(
    "/api/ai-calls/<call_id>",
    operation_id="get_call",
    summary="The whole record of a call",
    tags=["calls"],
    responses=responses_of(
        {200: "The record."}, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED
    ),
)
@app.get(
    "/api/ai-calls/<call_id>/status",
    operation_id="get_call_status",
    summary="The same record, under another path",
    tags=["calls"],
    responses=responses_of({200: "The record."}, HTTPStatus.NOT_FOUND),
)
def get_call(call_id: CallId) -> Response[CallDetails]:
    return respond(HTTPStatus.OK, call_details_of(control_plane(), call_id))


@app.get(
    "/api/openapi.json",
    operation_id="get_openapi",
    summary="This document",
    tags=["document"],
    responses=responses_of({200: "The OpenAPI 3.1 document of this API."}),
)
def openapi() -> Annotated[dict[str, Any], Field(description="The document.")]:
    return document(app)


def _find_placed(plane: ControlPlane, key: str, sent: str) -> Call | None:
    """Whatever became since of what the first request named: its answer stands."""
    claim = plane.store.find_claim(key, sent)
    call = plane.store.load(_check_matches(claim).call_id) if claim else None
    if call and call.fault and call.fault.reason == DIAL_FAILED:
        with call_context(call.call_id):
            raise DialFailed(call.fault.detail)
    return call


def _place(plane: ControlPlane, wanted: CreateCall, key: str | None, sent: str) -> Call:
    plane.settings.require_dialing()
    agent = _agent_of(plane, wanted.agent) if wanted.agent else None
    config = wanted.config(plane.max_call_seconds, agent)
    check_supported(wanted, config, plane.settings)
    caller = wanted.caller(plane.settings.telnyx_from_number)
    check_destinations(numbers_of(config, wanted.to), plane.settings)
    _check_caller(plane, caller)
    encode_config(config)  # for a request that is refused leaves its key free
    call_id = str(uuid.uuid4())
    if key:
        # Its call may be missing: the request that claimed the key may have died, or may be about
        # to place it. Either way it is placed once, for a record is created once.
        call_id = _check_matches(plane.store.claim_key(key, sent, call_id)).call_id
    call = Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        to=wanted.to,
        from_=caller,
        created_at_ms=plane.now_ms(),
    )
    with call_context(call_id):
        plane.admission.admit()
        plane.limits.reserve(call_id, config.max_duration_seconds)
        placed = plane.switchboard.place(call, config)
        _reserve(plane, placed)
    return placed


def _check_caller(plane: ControlPlane, number: str) -> None:
    """A stolen key shows no number of others. A simulated carrier shows it to nobody."""
    settings = plane.settings
    if number == settings.telnyx_from_number or is_simulated(settings.telnyx_api_base):
        return
    try:
        plane.directory.assignment(number)
    except UnknownNumber as error:
        problem = "must be TELNYX_FROM_NUMBER or a number under /api/numbers"
        raise InvalidField("from", problem) from error


def _reserve(plane: ControlPlane, call: Call) -> None:
    try:
        plane.fleet.reserve(call)
    except (BotoCoreError, ClientError):
        # Another call may take its place; this one rings already.
        log.exception("reservation FAILED")


def _check_matches(claim: Claim) -> Claim:
    if not claim.matches:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    return claim


def _agent_of(plane: ControlPlane, name: str) -> Agent:
    try:
        return plane.directory.agent(name)
    except UnknownAgent as error:
        raise InvalidField(
            "agent", f"there is no agent `{name}`; PUT /api/agents/{name} makes it"
        ) from error
