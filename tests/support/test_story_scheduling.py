"""Which tests one process runs together."""

from tests.support.story_scheduling import story_of

FOLDER = "tests/end_to_end"


def test_the_tests_that_examine_one_conversation_stay_together() -> None:
    module = f"{FOLDER}/test_outcome.py"
    tests = (f"{module}::test_nobody_answers_another_number", f"{module}::test_what_it_is_told")
    assert {story_of(each) for each in tests} == {module}


def test_tests_with_conversations_of_their_own_go_to_any_process() -> None:
    test = f"{FOLDER}/test_steering.py::test_keys_are_pressed"
    assert story_of(test) == test
