"""Sweeps one call."""

from control_plane.services import ControlPlane, log
from phonebridge.call.call import Call
from phonebridge.call.overdue import overdue
from phonebridge.call.owed import owed_commands

MINUTE_MS = 60_000


def _fallback_of(plane: ControlPlane, call: Call) -> str:
    """Return the number of the fallback, or an empty text. The settings are read only for calls
    that wait for a container."""
    config = plane.store.config(call.call_id) if call.is_parked else None
    fallback = config.fallback if config else None
    return (fallback.transfer_to if fallback else None) or ""


def sweep_call(
    plane: ControlPlane, call: Call, *, is_task_lost: bool, has_room: bool = True
) -> bool:
    """Settle a silent call, or send the commands it still needs. Return whether there was something
    to do. Raises the error that prevented it."""
    now_ms = plane.now_ms()
    event = overdue(
        call,
        is_task_lost=is_task_lost,
        has_room=has_room,
        max_call_ms=plane.settings.max_call_minutes * MINUTE_MS,
        now_ms=now_ms,
        fallback=_fallback_of(plane, call),
    )
    if event:
        log.warning("call overdue", status=call.status, event=type(event).__name__)
        plane.switchboard.settle(call, event)
    elif commands := owed_commands(call, now_ms):
        names = [type(command).__name__ for command in commands]
        log.warning("commands not confirmed", status=call.status, commands=names)
        plane.switchboard.pursue(call.call_id)
    else:
        return False
    return True
