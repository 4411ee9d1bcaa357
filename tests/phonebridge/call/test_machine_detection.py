"""What is known of the answerer only grows, in whatever order the reports come."""

from itertools import permutations

import pytest

from phonebridge.call.machine_detection import (
    AnsweredBy,
    AnsweringEvent,
    Detection,
    DetectionEnded,
    GreetingEnded,
    OnMachine,
    apply_event,
)

EVENTS: tuple[AnsweringEvent, ...] = (
    *(DetectionEnded(answered_by) for answered_by in AnsweredBy),
    GreetingEnded(),
)


@pytest.mark.parametrize("mode", OnMachine)
def test_every_order_ends_in_the_same_knowledge(mode: OnMachine) -> None:
    ends = set()
    for order in permutations(EVENTS):
        known: Detection | None = Detection(mode)
        for event in (*order, *order):
            known = apply_event(known, event)
        ends.add(known)
    assert ends == {Detection(mode, AnsweredBy.FAX, greeting_over=True)}


def test_the_end_of_a_greeting_may_be_all_that_is_told() -> None:
    known = apply_event(None, GreetingEnded())
    assert known == Detection(OnMachine.CONTINUE, AnsweredBy.MACHINE, greeting_over=True)


@pytest.mark.parametrize(
    ("mode", "answered_by", "ends_call", "takes_message"),
    [
        (OnMachine.HANG_UP, AnsweredBy.MACHINE, True, False),
        (OnMachine.HANG_UP, AnsweredBy.FAX, True, False),
        (OnMachine.HANG_UP, AnsweredBy.HUMAN, False, False),
        (OnMachine.LEAVE_MESSAGE, AnsweredBy.MACHINE, False, True),
        (OnMachine.LEAVE_MESSAGE, AnsweredBy.FAX, True, False),
        (OnMachine.LEAVE_MESSAGE, AnsweredBy.UNSURE, False, False),
        (OnMachine.CONTINUE, AnsweredBy.MACHINE, False, False),
        (OnMachine.CONTINUE, None, False, False),
    ],
)
def test_what_a_machine_means(
    mode: OnMachine, answered_by: AnsweredBy | None, ends_call: bool, takes_message: bool
) -> None:
    known = Detection(mode, answered_by)
    assert (known.ends_call, known.takes_message) == (ends_call, takes_message)
