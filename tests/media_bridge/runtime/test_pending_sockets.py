"""The number of sockets without a token is limited, in total and per address."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.runtime.pending_sockets import (
    MAX_PENDING,
    MAX_PENDING_PER_ADDRESS,
    PendingSockets,
)

ADDRESSES = st.sampled_from(["", "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"])


@given(st.lists(st.tuples(ADDRESSES, st.booleans()), max_size=300))
def test_there_are_never_more_than_the_limits_and_every_place_comes_back(
    happened: list[tuple[str, bool]],
) -> None:
    sockets, open_now = PendingSockets(), list[str]()
    for address, opens in happened:
        if opens and sockets.has_room(address):
            sockets.add(address)
            open_now.append(address)
        elif not opens and address in open_now:
            sockets.remove(address)
            open_now.remove(address)
        assert len(open_now) <= MAX_PENDING
        for each in set(open_now) - {""}:
            assert open_now.count(each) <= MAX_PENDING_PER_ADDRESS
    for address in open_now:
        sockets.remove(address)
    assert all(map(sockets.has_room, ("", "192.0.2.1")))


def test_one_address_leaves_room_for_others() -> None:
    sockets = PendingSockets()
    for _ in range(MAX_PENDING_PER_ADDRESS):
        assert sockets.has_room("192.0.2.1")
        sockets.add("192.0.2.1")
    assert not sockets.has_room("192.0.2.1")
    assert sockets.has_room("192.0.2.2")


def test_without_a_balancer_only_the_sum_is_limited() -> None:
    sockets = PendingSockets()
    for _ in range(MAX_PENDING):
        assert sockets.has_room("")
        sockets.add("")
    assert not sockets.has_room("")
    assert not sockets.has_room("192.0.2.1")
