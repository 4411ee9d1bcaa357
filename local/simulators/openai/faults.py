"""Faults of the simulated model. All are off by default."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


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
    close_in_response: int | None = None
    """The server closes with `close_code`."""
    close_code: int = 1011
    freeze_in_response: int | None = None
    """The socket stays open, but the server reads and sends nothing more, not even pongs."""
    only_in_session: int | None = None
    """The faults of responses happen in the n-th session of the server only."""
    busy_upgrades: int = 0
    """So many connections are refused with `busy_status`."""
    busy_from: int = 1
    """The first connection that is refused. With 2, those after the loss of the first session."""
    busy_status: int = 429
    slow_reader_ms: int = 0
    """Delay before each frame is read."""

    def without_endings(self) -> "ModelFaults":
        """Let all responses come to their end."""
        return replace(
            self,
            stall_in_response=None,
            close_abruptly_in_response=None,
            fail_internally_in_response=None,
            expire_in_response=None,
            close_in_response=None,
            freeze_in_response=None,
        )


NO_FAULTS = ModelFaults()

LOST = ModelFaults(close_in_response=2)
FAULTS_BY_NUMBER: Mapping[str, ModelFaults] = MappingProxyType(
    {
        "+15550161": LOST,
        "+15550162": ModelFaults(close_abruptly_in_response=2),
        "+15550163": ModelFaults(freeze_in_response=2),
        "+15550164": replace(LOST, busy_upgrades=2),
        "+15550165": replace(LOST, close_code=4004),
    }
)
"""What happens to the first session of a call to this number. The next one works."""


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
FROZEN = SessionEnding(0)
"""The session does not end. Nothing is read or sent any more."""
