"""Calls for tests."""

from dataclasses import replace

from phonebridge.call.call import AskedAt, Call, Direction, Leg
from phonebridge.call.commands import CallCommand
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallAnswered,
    CallEvent,
    CallRequested,
    DialAccepted,
    MediaAttached,
)
from phonebridge.call.lifecycle import advance
from phonebridge.call.owed import new_commands, owed_commands
from phonebridge.storage.call_store import DynamoCallStore

NOW_MS = 1_000_000
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


def browser_call(call_id: str = "call-1", created_at_ms: int = 1_000) -> Call:
    return Call(
        call_id=call_id,
        direction=Direction.BROWSER,
        to="",
        from_="",
        created_at_ms=created_at_ms,
    )


def after(call: Call, *events: CallEvent) -> Call:
    """Apply the events to the call and ignore what it needs on the way."""
    for event in events:
        call = advance(call, event, NOW_MS)
    return call


def streaming_call(
    call_id: str = "call-1", answered_at_ms: int = 5_000, attached_at_ms: int = 6_000
) -> Call:
    """Return a call that task-1 carries."""
    return after(
        outbound_call(call_id),
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, answered_at_ms),
        MediaAttached(1, "task-1", attached_at_ms),
    )


def store_call(store: DynamoCallStore, call: Call) -> Call:
    """Store the call as a new record, and return it."""
    assert store.create(call, CallConfig())
    return call


def sent(call: Call, *events: CallEvent) -> list[CallCommand]:
    """What their handlers send, a millisecond apart: what has become necessary, and all that is
    owed where an event is a repetition."""
    commands: list[CallCommand] = []
    for now_ms, event in enumerate(events, NOW_MS + 1):
        before, call = call, advance(call, event, now_ms)
        commands += (
            owed_commands(call, now_ms, repeats=True)
            if call == before
            else new_commands(before, call)
        )
    return commands


def unasked(call: Call) -> Call:
    """When the needs of a call arose depends on the order of its events; nothing else may."""
    return replace(call, asked_at=AskedAt())
