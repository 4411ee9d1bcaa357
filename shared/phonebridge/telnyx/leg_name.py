"""What a leg is to us: a call itself, or the target of one of its transfers. The name goes out as
`client_state`, and comes back in every webhook of that leg."""


def leg_name(call_id: str, transfer: int | None) -> str:
    return call_id if transfer is None else f"{call_id}/transfer/{transfer}"


def call_and_transfer(name: str) -> tuple[str, int | None]:
    """The call, and the number of the transfer whose target the leg is."""
    call_id, _, number = name.partition("/transfer/")
    is_number = number.isdecimal() and len(number) < 6
    return (call_id, int(number)) if is_number else (name, None)
