"""What the sweeper must tell a call of which nothing is heard any more. Pure."""

from phonebridge.call.call import Call, CallStatus, EndedBy, Fault
from phonebridge.call.events import CallEvent, CallFailed, EndRequested, LegOutlivedCall
from phonebridge.call.transfer import TransferRefused

DIAL_TIMEOUT_MS = 120_000  # ringing may take Telnyx's default 30 s, or more where it was asked for
MEDIA_TIMEOUT_MS = 60_000  # from the answer until a container has claimed the call
HEARTBEAT_TIMEOUT_MS = 45_000  # a task beats every 10 s
TRANSFERRED_TIMEOUT_MS = 14_460_000  # longer than any leg may last at Telnyx
TRANSFER_TIMEOUT_MS = 150_000  # until a target has answered, and heard the longest summary
LEG_TIMEOUT_MS = 60_000  # from our end of a call until the carrier's word of its own


def overdue(call: Call, *, is_task_lost: bool, max_call_ms: int, now_ms: int) -> CallEvent | None:
    """What the sweeper must tell a call that nobody hears any more; None while all is well.

    `is_task_lost` is about the task that carries the call (`fleet.is_lost`).
    """
    if call.is_over_for_us:
        late = call.may_be_up and now_ms > call.changed_at_ms + LEG_TIMEOUT_MS
        return LegOutlivedCall() if late else None
    if call.status is CallStatus.TRANSFERRED:
        late = now_ms > call.changed_at_ms + TRANSFERRED_TIMEOUT_MS
        return EndRequested(EndedBy.MAX_DURATION) if late else _unconfirmed_end(call, now_ms)
    deadline_ms, reason = _deadline(call, is_task_lost, max_call_ms)
    if now_ms <= deadline_ms:
        return _unconfirmed_end(call, now_ms) or _overdue_transfer(call, now_ms)
    detail = f"nothing was heard of the call while it was {call.status}"
    return CallFailed(Fault(reason, detail, now_ms))


def _unconfirmed_end(call: Call, now_ms: int) -> CallEvent | None:
    """The hangup did not get through, or the carrier's word of it did not: ask again."""
    late = now_ms > call.changed_at_ms + LEG_TIMEOUT_MS
    return EndRequested(call.end_requested_by) if call.end_requested_by and late else None


def _overdue_transfer(call: Call, now_ms: int) -> CallEvent | None:
    """Whoever waits for it must hear something, and may try again."""
    if call.status is not CallStatus.STREAMING or call.transfer is None or call.transfer.end:
        return None
    late = now_ms > call.changed_at_ms + TRANSFER_TIMEOUT_MS
    return TransferRefused(call.transfer.number, "nothing was heard of it") if late else None


def _deadline(call: Call, is_task_lost: bool, max_call_ms: int) -> tuple[int, str]:
    """Until when a live call may stay as it is, and the fault it has after that."""
    if call.status is CallStatus.ANSWERED:
        return call.changed_at_ms + MEDIA_TIMEOUT_MS, "no_media"
    if call.status is not CallStatus.STREAMING:
        return call.changed_at_ms + DIAL_TIMEOUT_MS, "never_answered"
    since = call.streaming_at_ms or call.changed_at_ms
    if is_task_lost:
        # The task may have come back, and taken this call, before its next heartbeat.
        return since + HEARTBEAT_TIMEOUT_MS, "container_lost"
    return since + max_call_ms + MEDIA_TIMEOUT_MS, "max_duration_overrun"
