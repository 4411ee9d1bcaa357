"""Classifies Telnyx's refusals of commands: which are worth another attempt, and which are no
failure.

Sources:

- Telnyx, "API error codes" (codes), "API reliability and retries" (5xx), "Rate limiting" (429).
- RFC 9110 and RFC 8470 (408, 409, 425).
- The friction log of team-telnyx/ai's contact centre, FRIC-004 (422 for `bridge`).
"""

from dataclasses import dataclass

from phonebridge.call.commands import CarrierCommand, HangUp, StartStreaming, StopStreaming
from phonebridge.call.transfer import BridgeLegs, HangUpTarget, SpeakSummary, TransferLeg
from phonebridge.errors import TelnyxError, TelnyxRefused

CALL_ALREADY_ENDED = "90018"
RESOURCE_NOT_FOUND = "10005"
INVALID_CALL_CONTROL_ID = "90015"
DUPLICATE_RESOURCE = "10012"
BEING_PROCESSED = "10036"
NOT_ANSWERED_YET = "90034"
STREAMING_IN_USE = "90045"
STREAMING_NOT_IN_USE = "90048"

TELLING_CODES = (
    CALL_ALREADY_ENDED,
    RESOURCE_NOT_FOUND,
    INVALID_CALL_CONTROL_ID,
    NOT_ANSWERED_YET,
    STREAMING_IN_USE,
    STREAMING_NOT_IN_USE,
    DUPLICATE_RESOURCE,
    BEING_PROCESSED,
)
"""Codes that change how we react. If a response has several errors, the first of these counts."""

# These codes blame the request itself, so a repetition would be refused too.
_INVALID_REQUEST = frozenset(
    {"10001", "10002", "10003", "10004", "10016", "10017", "10025", "10026", "10032", "10033"}
)
_CHANNEL_LIMITS = frozenset({"90041", "90042", "90043"})


@dataclass(frozen=True, slots=True)
class PassingRefusal:
    """A refusal that may pass. It matches if everything that it names matches; None matches
    anything."""

    statuses: range | None = None
    code: str | None = None
    commands: tuple[type[CarrierCommand], ...] | None = None
    except_codes: frozenset[str] = frozenset()

    def matches(self, command: CarrierCommand, refusal: TelnyxRefused) -> bool:
        return (
            (self.statuses is None or refusal.http_status in self.statuses)
            and (self.code is None or refusal.code == self.code)
            and (self.commands is None or isinstance(command, self.commands))
            and refusal.code not in self.except_codes
        )


def _only(status: int) -> range:
    return range(status, status + 1)


PASSING_REFUSALS = (
    # Request timeout: the server gave up waiting for the request (Telnyx's 10008).
    PassingRefusal(_only(408)),
    # Conflict with another command for the same call that is still under way.
    PassingRefusal(_only(409)),
    # Too early: the server would not process a request that might be a replay.
    PassingRefusal(_only(425)),
    # Too many requests (10011). The same code comes with 422 for another reason.
    PassingRefusal(_only(429)),
    # Unexpected error (10007), service unavailable (10037), and any error of a gateway.
    PassingRefusal(range(500, 600)),
    # "Please, wait for its operation to finish and retry later."
    PassingRefusal(code=BEING_PROCESSED),
    # We send commands that need an answered leg because `call.answered` came. Telnyx's own state of
    # the leg may be behind it.
    PassingRefusal(code=NOT_ANSWERED_YET),
    # Two legs are joined before Telnyx has built the state of the second. Its code varies.
    PassingRefusal(
        _only(422),
        commands=(BridgeLegs, TransferLeg),
        except_codes=_INVALID_REQUEST | _CHANNEL_LIMITS | {CALL_ALREADY_ENDED},
    ),
)

# A repeated command can be refused because its first attempt took effect and only the response was
# lost.
_DONE_BEFORE: tuple[tuple[type[CarrierCommand] | None, str], ...] = (
    (StartStreaming, STREAMING_IN_USE),
    (StopStreaming, STREAMING_NOT_IN_USE),
    (None, DUPLICATE_RESOURCE),
)


def is_passing(command: CarrierCommand, refusal: TelnyxRefused) -> bool:
    """Return whether the same command may be accepted a moment later."""
    return any(row.matches(command, refusal) for row in PASSING_REFUSALS)


def was_done_before(command: CarrierCommand, refusal: TelnyxRefused) -> bool:
    """Whether the refusal of a repeated command shows that an earlier attempt succeeded."""
    return any(
        (kind is None or isinstance(command, kind)) and refusal.code == code
        for kind, code in _DONE_BEFORE
    )


def tells_of_end(command: CarrierCommand, error: TelnyxError) -> bool:
    """Whether the refusal shows that the caller's leg has ended.

    Telnyx forgets a leg some minutes after its end. A hangup of a forgotten leg has therefore
    succeeded, and a stream of it cannot be closed any more.
    """
    if not isinstance(error, TelnyxRefused):
        return False
    if isinstance(command, SpeakSummary | BridgeLegs | HangUpTarget):
        return False  # it may be the target's leg
    return error.code == CALL_ALREADY_ENDED or (
        isinstance(command, HangUp | StopStreaming) and is_unknown_leg(error)
    )


def tells_of_target_end(error: TelnyxError) -> bool:
    """Return whether the refusal of a hangup shows that the target's leg has ended."""
    if not isinstance(error, TelnyxRefused):
        return False
    return error.code == CALL_ALREADY_ENDED or is_unknown_leg(error)


def is_unknown_leg(refusal: TelnyxRefused) -> bool:
    """Whether Telnyx does not know the leg, or has forgotten it."""
    forgotten = refusal.code in (RESOURCE_NOT_FOUND, INVALID_CALL_CONTROL_ID)
    return forgotten or refusal.http_status in (404, 410)
