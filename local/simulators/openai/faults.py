"""What can go wrong with the simulated model; everything is off unless asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFaults:
    refuse_session_update: bool = False
    """Every session.update is discarded whole: the default persona stays, without tools."""
    never_confirms: bool = False
    """As some compatible servers: settings are taken, items truncated, and nothing said of it."""
    formats_not_honoured: bool = False
    """session.updated still says PCM at 24 kHz, and so it speaks, whatever was asked."""
    non_fatal_error: bool = False
    """A server_error before each response, which then goes on as if nothing had been."""
    unknown_events: bool = False
    """An event of a type nobody knows in each response."""
    multi_item_responses: bool = False
    """Two audio items per response: commentary, then the answer."""
    fail_responses: bool = False
    """Every response ends as failed, with a rate limit, before any audio."""
    silent_responses: bool = False
    """Every response completes without any output."""
    content_filter: bool = False
    """Every response is cut in its middle: incomplete."""
    ignores_metadata: bool = False
    """As some compatible servers: what a response.create labels comes back without its label."""
    ignores_out_of_band: bool = False
    """As some compatible servers: what was asked for beside the conversation becomes part of it."""
    late_transcription: bool = False
    """A caller's transcript comes after the response to it."""
    transcription_failed: bool = False
    stall_in_response: int | None = None
    """In the middle of the n-th response (from 1) it falls silent; the socket stays open."""
    close_abruptly_in_response: int | None = None
    """The connection is gone without a close frame: 1006."""
    fail_internally_in_response: int | None = None
    """Close 1011."""
    expire_in_response: int | None = None
    """The session's 60 minutes are over: error, then close 1001."""
    slow_reader_ms: int = 0
    """So long it takes for each frame before it reads the next."""


NO_FAULTS = ModelFaults()


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """How the server leaves. Without a code the connection is just gone."""

    code: int | None
    reason: str = ""


SESSION_MINUTES = 60
EXPIRED = SessionEnding(
    1001, f"Your session hit the maximum duration of {SESSION_MINUTES} minutes."
)
INTERNAL_ERROR = SessionEnding(1011, "internal error")
GONE = SessionEnding(None)
