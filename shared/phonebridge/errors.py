"""Every error of Phonebridge; the type says who is to blame.

* PhonebridgeError
    * RequestRefused: the user of the HTTP API asked for what cannot be
        * MalformedRequest, TooLarge, InvalidCursor, UnknownCall, UnknownAgent, UnknownNumber
        * WrongState, AgentInUse, IdempotencyKeyReused
        * DestinationNotAllowed, LimitReached
    * NotConfigured: the operator left a setting out or gave a bad one
    * TelnyxError: the carrier
        * TelnyxRefused: it answered with an error
        * TelnyxUnreachable: it did not answer
        * CommandFailed: a fault on our side kept the command from it
        * DialFailed: either of the two, told again
    * AtCapacity: nobody; every media container is full
    * ModelError: the speech-to-speech model
    * UpstreamFailed: a server of the user's, of a tool or of the outcome webhook
    * InvalidSignature, InvalidToken: somebody who is neither
    * Conflict: another writer was faster; nothing was changed
    * InvalidTransition: an event that the lifecycle does not allow in that status
"""

from collections.abc import Sequence


class PhonebridgeError(Exception):
    """Root of the tree."""


class RequestRefused(PhonebridgeError):
    """The request is at fault; the message tells its sender what to change."""


class MalformedRequest(RequestRefused):
    """The request could not be read at all."""


class TooLarge(RequestRefused):
    """More than the record of a call holds."""


class InvalidCursor(RequestRefused):
    """A list was asked to go on where it never ended a page."""

    problem = "is not one that this list gave; use that of the page before, or leave it out"

    def __init__(self) -> None:
        super().__init__(f"cursor: {self.problem}")


class UnknownCall(RequestRefused):
    def __init__(self, call_id: str) -> None:
        super().__init__(f"There is no call {call_id}: it never existed or has expired.")


class UnknownAgent(RequestRefused):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no agent {name}.")


class UnknownNumber(RequestRefused):
    def __init__(self, number: str) -> None:
        super().__init__(f"No agent has been told to answer {number}.")


class AgentInUse(RequestRefused):
    """Deleting the agent would leave numbers that nobody answers."""

    def __init__(self, name: str, numbers: Sequence[str]) -> None:
        super().__init__(f"Agent {name} answers {', '.join(numbers)}: assign another one first.")


class WrongState(RequestRefused):
    """The call exists, but not in a state in which this can be done."""

    def __init__(self, call_id: str, status: str, wanted: str) -> None:
        super().__init__(f"Call {call_id} is {status}; {wanted}.")
        self.status = status


class IdempotencyKeyReused(RequestRefused):
    """An Idempotency-Key came again with another body, or while its first request still runs."""


class DestinationNotAllowed(RequestRefused):
    """A number that this deployment does not call."""

    def __init__(self, number: str, reason: str) -> None:
        super().__init__(
            f"{number} may not be called: {reason}. The operator can allow it with "
            "ALLOWED_DESTINATIONS (AllowedDestinations of the stack)."
        )


class LimitReached(RequestRefused):
    """The operator allows no more calls or minutes. Nothing was dialled."""

    def __init__(self, limit: str, reset: str, retry_after_seconds: int) -> None:
        super().__init__(
            f"The limit of {limit} is reached; the call was not placed. It is free again {reset}."
        )
        self.retry_after_seconds = retry_after_seconds


class NotConfigured(PhonebridgeError):
    """Settings are missing or bad; the message names every one of them."""


class TelnyxError(PhonebridgeError):
    """The carrier did not do what was asked."""


class TelnyxRefused(TelnyxError):
    """An error answer of the Call Control API; code and title are Telnyx's own."""

    def __init__(
        self,
        http_status: int,
        code: str,
        title: str,
        detail: str = "",
        retry_after_seconds: float = 0.0,
    ) -> None:
        super().__init__(f"Telnyx refused ({http_status}, {code}): {detail or title}")
        self.http_status = http_status
        self.code = code
        self.title = title
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class TelnyxUnreachable(TelnyxError):
    """No answer from the Call Control API within the time and the attempts allowed."""


class CommandFailed(TelnyxError):
    """A command could not be sent because of a fault on our side; the log tells which."""

    def __init__(self, command: str, call_id: str, kind: str) -> None:
        super().__init__(
            f"The command {command} of call {call_id} was not sent because of a fault on our side "
            f"({kind}); the log tells where."
        )


class DialFailed(TelnyxError):
    """The request came again that placed a call which the carrier did not take."""


class AtCapacity(PhonebridgeError):
    """There is no room for another call. Nothing was dialled."""

    retry_after_seconds = 10

    def __init__(self) -> None:
        super().__init__(
            "Every media container is full or about to end; the call was not placed. "
            f"Try again in {self.retry_after_seconds} seconds, or raise the number of tasks."
        )


class ModelError(PhonebridgeError):
    """The model's server refused or lost the session."""


class UpstreamFailed(PhonebridgeError):
    """A server that the user named. The message is fit for a model that speaks about it."""

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether it may be otherwise in a moment."""


class InvalidSignature(PhonebridgeError):
    """A webhook that Telnyx did not sign, or not just now."""


class InvalidToken(PhonebridgeError):
    """A media socket whose token is missing, forged, expired or for another call."""


class Conflict(PhonebridgeError):
    """A conditional write lost its race; reload and decide anew."""


class InvalidTransition(PhonebridgeError):
    """An event that cannot happen to a call in its present status."""
