"""When the next thing is due."""

from media_bridge.conversation.deadline import earliest


def test_the_earliest_of_those_that_will_be() -> None:
    assert earliest(3.0, None, 2.0) == 2.0


def test_nothing_is_due_where_nothing_will_be() -> None:
    assert earliest(None, None) is None
    assert earliest() is None
