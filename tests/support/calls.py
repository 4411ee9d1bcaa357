"""Calls for tests."""

from phonebridge.call.call import Call, Direction, Leg
from phonebridge.call.events import CallEvent
from phonebridge.call.lifecycle import advance

LEG = Leg("v3:leg-1", "leg-1", "session-1")


def outbound_call(call_id: str = "call-1", created_at_ms: int = 1_000) -> Call:
    return Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        to="+15550100",
        from_="+15550199",
        created_at_ms=created_at_ms,
    )


def inbound_call(call_id: str = "call-1", created_at_ms: int = 1_000) -> Call:
    return Call(
        call_id=call_id,
        direction=Direction.INBOUND,
        to="+15550199",
        from_="+15550100",
        created_at_ms=created_at_ms,
    )


def after(call: Call, *events: CallEvent) -> Call:
    """Apply the events to the call and ignore the commands."""
    for event in events:
        call, _ = advance(call, event)
    return call
