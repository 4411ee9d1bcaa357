"""Names of legs: a call itself, or the target of one of its transfers.

The name is sent as `client_state` and returned in every webhook of the leg.
"""


def leg_name(call_id: str, transfer: int | None) -> str:
    return call_id if transfer is None else f"{call_id}/transfer/{transfer}"


def call_and_transfer(name: str) -> tuple[str, int | None]:
    """Return the call's id and, if the leg is the target of a transfer, the number of the
    transfer."""
    call_id, _, number = name.partition("/transfer/")
    is_number = number.isdecimal() and len(number) < 6
    return (call_id, int(number)) if is_number else (name, None)
