"""Checks of the first `start` frame: timeout, call and codec."""

from media_bridge.audio.codecs import Codec
from media_bridge.commands import FailCall
from media_bridge.events import StreamStarted
from phonebridge.call.call import Call
from phonebridge.telnyx.leg_name import call_and_announcement

START_TIMEOUT_SECONDS = 10.0
RING_TIMEOUT_SECONDS = 120.0
"""The sweep waits as long. Telnyx closes the socket of an unanswered call earlier, by default after
30 s."""
ANSWER_TIMEOUT_SECONDS = 3.0
"""A stream that was opened while the phone rang starts so soon after the answer."""


def start_timeout(call: Call) -> float:
    rings = call.carries_early_stream and call.answered_at_ms is None
    return RING_TIMEOUT_SECONDS if rings else START_TIMEOUT_SECONDS


def line_of(event: StreamStarted, call: Call, agreed: Codec | None = None) -> Codec | FailCall:
    """Return the caller's codec, or the reason why the stream cannot be carried. `agreed`
    is the codec with which a browser call was created."""
    if not _is_of(call, event):
        return FailCall("wrong_call", "the media stream belongs to another call")
    codec = Codec.__members__.get(event.encoding)
    format_ = f"{event.encoding} at {event.sample_rate_hz} Hz"
    if codec and codec.rate_hz == event.sample_rate_hz:
        if agreed not in (None, codec):
            return FailCall("unsupported_codec", f"{format_} is not what the call was created with")
        return codec
    return FailCall(
        "unsupported_codec", f"{format_} is neither G.711 at 8000 Hz nor L16 at 16000 Hz"
    )


def _is_of(call: Call, event: StreamStarted) -> bool:
    # The token has shown that we requested the stream. The leg's id may differ from the one in the
    # dial's response, and any program may overwrite `client_state`. So one of them is enough.
    if call.leg is None or event.call_control_id == call.leg.call_control_id:
        return True
    return call_and_announcement(event.client_state or "")[0] == call.call_id
