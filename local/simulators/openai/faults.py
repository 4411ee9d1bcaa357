"""Faults of the simulated model. All are off by default."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFaults:
    refuse_session_update: bool = False
    """Every session.update is refused. The default persona without tools remains."""
    never_confirms: bool = False
    """Settings and truncations take effect but are not confirmed, as with some compatible
    servers."""
    formats_not_honoured: bool = False
    """session.updated still says PCM at 24 kHz, and the audio has this format, whatever was
    requested."""
    non_fatal_error: bool = False
    """A server_error precedes each response, which then continues normally."""
    unknown_events: bool = False
    """Each response contains an event of an undocumented type."""
    multi_item_responses: bool = False
    """Each response has two audio items: a commentary and the answer."""
    fail_responses: bool = False
    """Every response fails with a rate limit before any audio."""
    silent_responses: bool = False
    """Every response completes without output."""
    content_filter: bool = False
    """Every response ends in its middle, as incomplete."""
    ignores_metadata: bool = False
    """The metadata of response.create is not returned, as with some compatible servers."""
    ignores_out_of_band: bool = False
    """An out-of-band response becomes part of the conversation, as with some compatible servers."""
    late_transcription: bool = False
    """The caller's transcript arrives after the response to it."""
    transcription_failed: bool = False
    stall_in_response: int | None = None
    """The n-th response (from 1) stops in its middle, and the socket stays open."""
    close_abruptly_in_response: int | None = None
    """The connection is lost without a close frame (1006)."""
    fail_internally_in_response: int | None = None
    """The server closes with 1011."""
    expire_in_response: int | None = None
    """The session reaches its limit of 60 minutes: an error, then a close with 1001."""
    slow_reader_ms: int = 0
    """Delay before each frame is read."""


NO_FAULTS = ModelFaults()


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """How the server ends a session. Without a code, the connection is just lost."""

    code: int | None
    reason: str = ""


SESSION_MINUTES = 60
EXPIRED = SessionEnding(
    1001, f"Your session hit the maximum duration of {SESSION_MINUTES} minutes."
)
INTERNAL_ERROR = SessionEnding(1011, "internal error")
GONE = SessionEnding(None)
