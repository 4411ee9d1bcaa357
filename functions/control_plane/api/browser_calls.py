"""/api/browser-calls: calls from a browser. They are watched and steered under /api/ai-calls."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from control_plane.api.document import WITH_BODY, responses_of
from control_plane.api.requests.browser_call import CreateBrowserCall
from control_plane.api.requests.create_call import CallId, IdempotencyKey, fingerprint
from control_plane.api.requests.supported import warnings_of
from control_plane.api.resolver import respond
from control_plane.api.responses import browser_calls as responses
from control_plane.api.responses.browser_calls import BrowserCall, MediaAccess
from control_plane.browser_calls import open_call, renew_media
from control_plane.placing import CallRequest
from control_plane.services import control_plane

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

_TAGS = ["browser calls"]


@router.post(
    "/api/browser-calls",
    operation_id="create_browser_call",
    summary="Begin a call from a browser",
    tags=_TAGS,
    responses=responses_of(
        {201: "The call waits for its browser."}, *WITH_BODY, HTTPStatus.CONFLICT
    ),
)
def create(
    wanted: CreateBrowserCall, idempotency_key: IdempotencyKey = None
) -> Response[BrowserCall]:
    plane = control_plane()
    request = CallRequest(wanted, idempotency_key, fingerprint(router.current_event.json_body))
    opened = open_call(plane, request)
    headers = {"Idempotency-Replayed": "true"} if opened.is_replayed else {}
    body = responses.browser_call(opened.ticket, warnings_of(wanted, plane.settings))
    return respond(HTTPStatus.CREATED, body, headers)


@router.post(
    "/api/browser-calls/<call_id>/media",
    operation_id="renew_browser_media",
    summary="Let a browser that has lost its socket open the next one",
    tags=_TAGS,
    responses=responses_of(
        {201: "The call goes on with the next stream."},
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
    ),
)
def renew(call_id: CallId) -> Response[MediaAccess]:
    ticket = renew_media(control_plane(), call_id)
    return respond(HTTPStatus.CREATED, responses.media_access(ticket))
