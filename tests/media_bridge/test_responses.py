"""Whoever wants the model to speak is served in turn."""

from media_bridge.commands import Respond
from media_bridge.responses import Responses

ANSWER = Respond()
SAY_A, SAY_B = Respond(saying="a"), Respond(saying="b")


def test_who_asks_while_nobody_speaks_is_served_at_once() -> None:
    assert Responses().ask(ANSWER) == [ANSWER]


def test_one_at_a_time_in_the_order_of_asking() -> None:
    responses = Responses()
    assert responses.ask(SAY_A) == [SAY_A]
    assert responses.ask(SAY_B) == []
    responses.started("resp-1")
    assert responses.ended("resp-1") == [SAY_B]
    responses.started("resp-2")
    assert not responses.idle
    assert responses.ended("resp-2") == []
    assert responses.idle


def test_any_response_answers_all_that_was_heard() -> None:
    responses = Responses()
    responses.started("resp-1")
    assert responses.ask(ANSWER) == []
    responses.ended("resp-1")
    responses.started("resp-2")
    assert responses.ask(ANSWER) == []
    responses.started("resp-3")
    assert responses.ended("resp-3") == []


def test_a_response_does_not_answer_what_came_after_it_was_asked_for() -> None:
    responses = Responses()
    assert responses.ask(SAY_A) == [SAY_A]
    assert responses.ask(ANSWER) == []
    responses.started("resp-1")
    assert responses.ended("resp-1") == [ANSWER]


def test_words_wait_for_the_answer_to_a_caller_who_is_speaking() -> None:
    responses = Responses()
    responses.hold()
    assert responses.ask(SAY_A) == []
    responses.started("resp-1")
    assert responses.ended("resp-1") == [SAY_A]


def test_words_are_said_after_the_response_that_came_before_them() -> None:
    responses = Responses()
    responses.ask(SAY_A)
    responses.started("of the detector")
    responses.refused()
    assert responses.ended("of the detector") == [SAY_A]


def test_an_answer_that_another_response_gave_is_not_asked_for_again() -> None:
    responses = Responses()
    responses.ask(ANSWER)
    responses.started("of the detector")
    responses.refused()
    assert responses.ended("of the detector") == []
    assert responses.idle


def test_the_end_of_another_response_means_nothing() -> None:
    responses = Responses()
    responses.ask(SAY_A)
    responses.started("resp-1")
    responses.ask(SAY_B)
    assert responses.ended("resp-0") == []
    assert responses.active == "resp-1"


def test_a_failed_response_is_asked_for_again_before_all_others() -> None:
    responses = Responses()
    responses.ask(SAY_A)
    responses.started("resp-1")
    responses.ask(SAY_B)
    assert responses.ask_again() == [SAY_A]


def unaware() -> Responses:
    """The model has an output on its way when another response starts."""
    responses = Responses()
    responses.unseen.add("call-1")
    return responses


def test_a_response_that_started_without_an_output_does_not_answer_it() -> None:
    responses = unaware()
    responses.hold()
    assert responses.ask(ANSWER) == []
    responses.started("of the detector")
    responses.unseen.discard("call-1")
    assert responses.ended("of the detector") == [ANSWER]


def test_nor_does_the_one_because_of_which_ours_was_refused() -> None:
    responses = unaware()
    assert responses.ask(ANSWER) == [ANSWER]
    responses.started("of the detector")
    responses.refused()
    assert responses.ended("of the detector") == [ANSWER]


def test_a_server_that_never_confirms_an_output_is_asked_once() -> None:
    responses = unaware()
    assert responses.ask(ANSWER) == [ANSWER]
    responses.started("ours")
    assert responses.ended("ours") == []
    assert not responses.unseen


def test_where_the_model_does_not_answer_by_itself_we_ask_first_and_at_once() -> None:
    responses = Responses()
    responses.hold()
    assert responses.ask(Respond(saying="By the way.")) == []
    assert responses.answer() == [Respond()]
    responses.started("resp-1")
    assert responses.ended("resp-1") == [Respond(saying="By the way.")]


def test_who_waits_for_an_answer_waits_for_the_same_one() -> None:
    responses = Responses()
    responses.started("resp-1")
    assert responses.ask(ANSWER) == responses.ask(SAY_A) == responses.ask(ANSWER) == []
    assert responses.ended("resp-1") == [ANSWER]
    responses.started("resp-2")
    assert responses.ended("resp-2") == [SAY_A]
    responses.started("resp-3")
    assert responses.ended("resp-3") == []
