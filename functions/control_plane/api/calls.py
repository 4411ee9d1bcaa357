"""/api/ai-calls: place calls, list them and return their records. `live_calls.py` steers them."""

from datetime import UTC, datetime
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from control_plane.api.document import WITH_BODY, responses_of
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
from control_plane.api.requests.supported import warnings_of
from control_plane.api.resolver import client_of_request, respond
from control_plane.api.responses import calls
from control_plane.api.responses.calls import CallList, CallWithWarnings
from control_plane.api.responses.record import CallDetails
from control_plane.call_record import call_details_of
from control_plane.placing import CallRequest, place
from control_plane.services import control_plane

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.post(
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
    body = fingerprint(router.current_event.json_body)
    request = CallRequest(wanted, idempotency_key, body, client_of_request())
    placed = place(plane, request)
    headers = {"Idempotency-Replayed": "true"} if placed.is_replayed else {}
    warnings = warnings_of(wanted, plane.settings)
    return respond(HTTPStatus.CREATED, calls.call_with_warnings(placed.call, warnings), headers)


@router.get(
    "/api/ai-calls/status",
    operation_id="list_calls",
    summary="List live calls, or the calls that ended on a day",
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


@router.get(
    "/api/ai-calls/<call_id>",
    operation_id="get_call",
    summary="Get the record of a call",
    tags=["calls"],
    responses=responses_of(
        {200: "The record."}, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED
    ),
)
@router.get(
    "/api/ai-calls/<call_id>/status",
    operation_id="get_call_status",
    summary="Get the record of a call (same as `GET /api/ai-calls/{call_id}`)",
    tags=["calls"],
    responses=responses_of({200: "The record."}, HTTPStatus.NOT_FOUND),
)
def get_call(call_id: CallId) -> Response[CallDetails]:
    return respond(HTTPStatus.OK, call_details_of(control_plane(), call_id))
