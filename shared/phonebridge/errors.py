"""Every error of Phonebridge. The type says where the cause is:

* PhonebridgeError
    * RequestRefused: the request to the HTTP API
        * MalformedRequest, TooLarge, InvalidCursor, UnknownCall, UnknownAgent, UnknownNumber
        * WrongState, AgentInUse, IdempotencyKeyReused
        * DestinationNotAllowed, LimitReached
    * NotConfigured: a setting that is missing or invalid
    * TelnyxError: the carrier
        * TelnyxRefused: it answered with an error
        * TelnyxUnreachable: it did not answer
        * CommandFailed: a fault on our side kept a command from being sent
        * DialFailed: the first request already failed for one of these reasons
    * AtCapacity: every media container is full
    * ModelError: the server of the speech-to-speech model
    * UpstreamFailed: a user's server, for a tool or for the outcome webhook
    * InvalidSignature, InvalidToken: an unknown sender
    * Conflict: another writer was faster, and nothing was changed
    * InvalidTransition: an event that the lifecycle does not allow in that status
"""

from collections.abc import Sequence


class PhonebridgeError(Exception):
    """The base class of all errors of Phonebridge."""


class RequestRefused(PhonebridgeError):
    """The request is at fault. The message says what its sender must change."""


class MalformedRequest(RequestRefused):
    """The request could not be read."""


class TooLarge(RequestRefused):
    """The request has more data than a call's record can hold."""


class InvalidCursor(RequestRefused):
    """The cursor does not mark the end of a page of this list."""

    problem = "is not a cursor of this list; use the one of the previous page, or omit it"

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
        super().__init__(f"No agent is assigned to {number}.")


class AgentInUse(RequestRefused):
    """Numbers are still mapped to the agent."""

    def __init__(self, name: str, numbers: Sequence[str]) -> None:
        super().__init__(f"Agent {name} answers {', '.join(numbers)}: assign another one first.")


class WrongState(RequestRefused):
    """The call exists, but its state does not allow this."""

    def __init__(self, call_id: str, status: str, wanted: str) -> None:
        super().__init__(f"Call {call_id} is {status}; {wanted}.")
        self.status = status


class IdempotencyKeyReused(RequestRefused):
    """The Idempotency-Key was used with another body, or its first request is still running."""


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
    """Settings are missing or invalid. The message names all of them."""


class TelnyxError(PhonebridgeError):
    """The carrier did not do what was requested."""


class TelnyxRefused(TelnyxError):
    """The Call Control API answered with an error. Code and title are Telnyx's own."""

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
    """The Call Control API did not answer within the time and the attempts allowed."""


class CommandFailed(TelnyxError):
    """A fault on our side kept a command from being sent. The log says which."""

    def __init__(self, command: str, call_id: str, kind: str) -> None:
        super().__init__(
            f"The command {command} of call {call_id} was not sent because of a fault on our side "
            f"({kind}). The log says where."
        )


class DialFailed(TelnyxError):
    """The request was repeated, and the carrier had refused its call the first time."""


class AtCapacity(PhonebridgeError):
    """No container has room for another call. Nothing was dialled."""

    retry_after_seconds = 10

    def __init__(self) -> None:
        super().__init__(
            "Every media container is full or shutting down. The call was not placed. "
            f"Try again in {self.retry_after_seconds} seconds, or raise the number of tasks."
        )


class ModelError(PhonebridgeError):
    """The model's server refused the session, or the session was lost."""


class UpstreamFailed(PhonebridgeError):
    """A server that the user named did not work as expected. The message may be shown to a
    model."""

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether a retry may succeed."""


class InvalidSignature(PhonebridgeError):
    """The webhook was not signed by Telnyx, or its signature is too old."""


class InvalidToken(PhonebridgeError):
    """The token of a media socket is missing, forged, expired or for another call."""


class Conflict(PhonebridgeError):
    """A conditional write lost a race. Reload, and decide again."""


class InvalidTransition(PhonebridgeError):
    """The event is not allowed in the call's present status."""
