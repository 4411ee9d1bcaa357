"""Begins browser calls, and lets their browsers into the media container."""

from dataclasses import dataclass

from control_plane.api.requests.browser_call import CreateBrowserCall
from control_plane.api.requests.fields import InvalidField
from control_plane.api.resolver import call_context
from control_plane.placing import CallRequest, begin_call, claim_call_id, config_of, find_placed
from control_plane.services import ControlPlane
from phonebridge import stream_token
from phonebridge.call.call import Call, Direction
from phonebridge.call.events import StreamRequested
from phonebridge.errors import WrongState
from phonebridge.settings import ModelAudio
from phonebridge.storage.call_items import encode_config


@dataclass(frozen=True, slots=True)
class MediaTicket:
    """What a browser needs to open one media stream of its call."""

    call_id: str
    url: str
    token: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class OpenedCall:
    ticket: MediaTicket
    is_replayed: bool
    """True if an earlier request with the same key began the call."""


def open_call(plane: ControlPlane, request: CallRequest[CreateBrowserCall]) -> OpenedCall:
    """Begin a browser call. Raises the errors of the API."""
    if known := find_placed(plane, request):
        return OpenedCall(_ticket(plane, known), is_replayed=True)
    plane.settings.require_browser_calls()
    _check_audio(plane, request.wanted)
    config = config_of(plane, request.wanted)
    encode_config(config)  # for a request that is refused leaves its key free
    call = Call(
        call_id=claim_call_id(plane, request),
        direction=Direction.BROWSER,
        to="",
        from_="",
        created_at_ms=plane.now_ms(),
    )
    opened = begin_call(plane, call, config, plane.switchboard.open)
    return OpenedCall(_ticket(plane, opened), is_replayed=False)


def renew_media(plane: ControlPlane, call_id: str) -> MediaTicket:
    """Return a ticket for the next stream, in place of the lost one. Raises `WrongState` and
    `InvalidTransition`."""
    call = plane.call(call_id)
    if not call.is_browser_call:
        raise WrongState(call_id, f"a call by {call.direction}", "its carrier opens the streams")
    with call_context(call_id):
        return _ticket(plane, plane.switchboard.apply(call_id, StreamRequested()))


def _check_audio(plane: ControlPlane, wanted: CreateBrowserCall) -> None:
    if wanted.audio == "l16" and plane.settings.model_audio is ModelAudio.G711:
        raise InvalidField("audio", "l16 needs a deployment with MODEL_AUDIO=pcm24k")


def _ticket(plane: ControlPlane, call: Call) -> MediaTicket:
    now_ms = plane.now_ms()
    secret, number = plane.settings.stream_token_secret, call.stream_number
    return MediaTicket(
        call_id=call.call_id,
        url=f"{plane.settings.media_public_url}/media-bridge/{call.call_id}/{number}",
        token=stream_token.issue(secret, call.call_id, number, now_ms),
        expires_at_ms=(now_ms // 1000 + stream_token.LIFETIME_SECONDS) * 1000,
    )
