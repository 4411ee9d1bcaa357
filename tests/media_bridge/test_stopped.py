from media_bridge.stopped import Stopped


def test_the_end_of_an_item_is_told_once() -> None:
    stopped = Stopped()
    stopped.add("resp-1")
    assert "resp-1" in stopped
    assert "resp-2" not in stopped
    assert stopped.tell("resp-1", "item-1")
    assert not stopped.tell("resp-1", "item-1")
    assert stopped.tell("resp-1", "item-2")


def test_to_stop_a_response_again_forgets_nothing() -> None:
    stopped = Stopped()
    assert stopped.tell("resp-1", "item-1")
    stopped.add("resp-1")
    assert not stopped.tell("resp-1", "item-1")
