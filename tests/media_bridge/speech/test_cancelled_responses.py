from media_bridge.speech.cancelled_responses import CancelledResponses


def test_the_end_of_an_item_is_told_once() -> None:
    stopped = CancelledResponses()
    stopped.add("resp-1")
    assert "resp-1" in stopped
    assert "resp-2" not in stopped
    assert stopped.mark_truncated("resp-1", "item-1")
    assert not stopped.mark_truncated("resp-1", "item-1")
    assert stopped.mark_truncated("resp-1", "item-2")


def test_a_response_that_is_stopped_twice_keeps_its_truncated_items() -> None:
    stopped = CancelledResponses()
    assert stopped.mark_truncated("resp-1", "item-1")
    stopped.add("resp-1")
    assert not stopped.mark_truncated("resp-1", "item-1")
