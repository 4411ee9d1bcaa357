"""All requests to speak are served in turn."""

from media_bridge.commands import CreateResponse
from media_bridge.conversation.response_queue import ANSWER as CALLER_TURN
from media_bridge.conversation.response_queue import Purpose, Request, ResponseQueue

ANSWER = CreateResponse()
SAY_A, SAY_B = CreateResponse(exact_text="a"), CreateResponse(exact_text="b")


def say(command: CreateResponse) -> Request:
    return Request(command, Purpose.SAY)


TOOL = Request(ANSWER, Purpose.TOOL_OUTPUT)


def end(queue: ResponseQueue) -> list[CreateResponse]:
    queue.finish()
    return queue.proceed()


def test_a_request_in_silence_is_sent_at_once() -> None:
    assert ResponseQueue().request(TOOL) == [ANSWER]


def test_each_request_has_an_id_of_its_own() -> None:
    queue = ResponseQueue()
    [first] = queue.request(say(SAY_A))
    queue.request(say(SAY_A))
    queue.on_started("resp-1")
    [second] = end(queue)
    assert first.event_id != second.event_id
    assert queue.names_request(second.event_id)
    assert not queue.names_request(first.event_id)
    assert not queue.names_request(None)


def test_requests_are_sent_one_at_a_time_in_their_order() -> None:
    queue = ResponseQueue()
    assert queue.request(say(SAY_A)) == [SAY_A]
    assert queue.request(say(SAY_B)) == []
    queue.on_started("resp-1")
    assert end(queue) == [SAY_B]
    queue.on_started("resp-2")
    assert not queue.is_idle
    assert end(queue) == []
    assert queue.is_idle


def test_any_response_of_the_servers_own_answers_all_that_was_heard() -> None:
    queue = ResponseQueue()
    queue.on_started("resp-1")
    assert queue.request(TOOL) == []
    queue.on_started("resp-2")
    assert queue.request(TOOL) == []
    queue.on_started("resp-3")
    assert end(queue) == []


def test_a_response_does_not_answer_what_came_after_it_was_asked_for() -> None:
    queue = ResponseQueue()
    assert queue.request(say(SAY_A)) == [SAY_A]
    assert queue.request(TOOL) == []
    queue.on_started("resp-1")
    assert end(queue) == [ANSWER]


def test_words_wait_for_the_answer_to_a_caller_who_is_speaking() -> None:
    queue = ResponseQueue()
    queue.hold()
    assert queue.request(say(SAY_A)) == []
    queue.on_started("resp-1")
    assert end(queue) == [SAY_A]


def test_a_server_that_does_not_answer_the_caller_is_asked_to_and_first() -> None:
    queue = ResponseQueue()
    queue.hold()
    assert queue.request(say(SAY_A)) == []
    queue.expect_answer()
    assert queue.proceed() == []
    assert queue.release() == [ANSWER]
    queue.on_started("resp-1")
    assert end(queue) == [SAY_A]


def test_a_server_that_answers_the_caller_is_not_asked_to() -> None:
    queue = ResponseQueue()
    queue.expect_answer()
    queue.on_started("of the detector")
    assert end(queue) == []
    assert queue.is_idle


def test_an_answer_of_ours_that_starts_after_the_callers_turn_answers_it() -> None:
    queue = ResponseQueue()
    queue.request(TOOL)
    queue.expect_answer()
    queue.on_started("ours")
    assert end(queue) == []


def test_words_of_ours_do_not_answer_the_caller() -> None:
    queue = ResponseQueue()
    queue.request(say(SAY_A))
    queue.expect_answer()
    queue.on_started("ours")
    assert end(queue) == []
    assert queue.release() == [ANSWER]


def test_words_are_said_after_the_response_that_came_before_them() -> None:
    queue = ResponseQueue()
    queue.request(say(SAY_A))
    queue.on_started("of the detector")
    queue.request_was_refused()
    assert end(queue) == [SAY_A]


def test_an_answer_that_another_response_gave_is_not_asked_for_again() -> None:
    queue = ResponseQueue()
    queue.request(TOOL)
    queue.on_started("of the detector")
    queue.request_was_refused()
    assert end(queue) == []
    assert queue.is_idle


def test_a_request_is_repeated_when_the_hold_is_released_and_before_all_others() -> None:
    queue = ResponseQueue()
    queue.request(say(SAY_A))
    queue.on_started("resp-1")
    queue.request(say(SAY_B))
    queue.retry(say(SAY_A))
    assert end(queue) == []
    assert queue.release() == [SAY_A]


def unaware() -> ResponseQueue:
    """The model has an output on its way when another response starts."""
    queue = ResponseQueue()
    queue.pending_tool_outputs.add("call-1")
    return queue


def test_a_response_that_started_without_an_output_does_not_answer_it() -> None:
    queue = unaware()
    queue.hold()
    assert queue.request(TOOL) == []
    queue.on_started("of the detector")
    queue.pending_tool_outputs.discard("call-1")
    assert end(queue) == [ANSWER]


def test_the_response_that_refused_ours_does_not_answer_it() -> None:
    queue = unaware()
    assert queue.request(TOOL) == [ANSWER]
    queue.on_started("of the detector")
    queue.request_was_refused()
    assert end(queue) == [ANSWER]


def test_the_servers_own_response_answers_the_caller() -> None:
    queue = unaware()
    queue.expect_answer()
    queue.on_started("of the detector")
    assert end(queue) == []


def test_a_server_that_never_confirms_an_output_is_asked_once() -> None:
    queue = unaware()
    assert queue.request(TOOL) == [ANSWER]
    queue.on_started("ours")
    assert end(queue) == []
    assert not queue.pending_tool_outputs


def test_one_answer_serves_all_requests_without_words() -> None:
    queue = ResponseQueue()
    queue.on_started("resp-1")
    for request in (TOOL, say(SAY_A), TOOL, CALLER_TURN):
        assert queue.request(request) == []
    assert end(queue) == [ANSWER]
    queue.on_started("resp-2")
    assert end(queue) == [SAY_A]
    queue.on_started("resp-3")
    assert end(queue) == []


def test_a_muted_agent_says_later_what_it_was_asked_for() -> None:
    queue = ResponseQueue(muted=True)
    assert queue.request(say(SAY_A)) == []
    assert queue.unmute() == [SAY_A]


def test_what_was_never_sent_can_be_told() -> None:
    queue = ResponseQueue()
    queue.request(say(SAY_A))
    queue.request(say(SAY_B))
    assert queue.clear() == [say(SAY_B)]
    assert queue.current == say(SAY_A)
