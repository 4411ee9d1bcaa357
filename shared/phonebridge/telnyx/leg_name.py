"""Names of legs: a call itself, or the target of one of its transfers.

The name is sent as `client_state`. Telnyx returns it in every later webhook of the leg, until
another command replaces it. The name in a `speak` command also has the number of the announcement,
so `call.speak.ended` says which one has ended. Webhooks that follow have that name too.
"""

from phonebridge.call.call import FAREWELL

_TRANSFER, _ANNOUNCEMENT = "/transfer/", "/announcement/"
_ANNOUNCEMENTS = frozenset(str(number) for number in range(1, FAREWELL + 1))


def leg_name(call_id: str, transfer: int | None) -> str:
    return call_id if transfer is None else f"{call_id}{_TRANSFER}{transfer}"


def announcement_name(call_id: str, announcement: int) -> str:
    return f"{call_id}{_ANNOUNCEMENT}{announcement}"


def call_and_transfer(name: str) -> tuple[str, int | None]:
    """Return the call's id and, if the leg is the target of a transfer, the number of the
    transfer."""
    name, _ = call_and_announcement(name)
    call_id, _, number = name.partition(_TRANSFER)
    is_number = number.isdecimal() and len(number) < 6
    return (call_id, int(number)) if is_number else (name, None)


def call_and_announcement(name: str) -> tuple[str, int | None]:
    """Return the name of the leg and, if it has one, the number of the announcement."""
    leg, _, number = name.partition(_ANNOUNCEMENT)
    return leg, int(number) if number in _ANNOUNCEMENTS else None
