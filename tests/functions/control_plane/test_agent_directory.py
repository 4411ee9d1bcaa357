"""Who answers which number, on a DynamoDB with real sockets."""

from typing import TYPE_CHECKING

import pytest

from control_plane.agent_directory import ANY_NUMBER, DynamoDirectory
from phonebridge.call.config import CallConfig
from phonebridge.errors import TooLarge, UnknownAgent, UnknownNumber
from phonebridge.storage.call_items import CONFIG_BYTES_MAX
from phonebridge.storage.call_store import RECORD_SECONDS
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBER = "+15550100"


@pytest.fixture
def directory(client: "DynamoDBClient", table_name: str, clock: Clock) -> DynamoDirectory:
    return DynamoDirectory(table_name, client, clock, max_seconds=600)


def test_nobody_answers_at_first(directory: DynamoDirectory) -> None:
    assert directory.answering(NUMBER) is None
    assert directory.answering("") is None


def test_a_number_is_answered_by_its_agent_for_as_long_as_the_operator_allows(
    directory: DynamoDirectory,
) -> None:
    directory.put_agent("night", greeting="Good evening!")
    directory.assign(NUMBER, "night")
    assert directory.answering(NUMBER) == CallConfig(
        agent="night", greeting="Good evening!", max_duration_seconds=600
    )
    assert directory.answering("+15550111") is None


def test_the_default_agent_answers_every_other_number(directory: DynamoDirectory) -> None:
    directory.put_agent(ANY_NUMBER)
    directory.put_agent("night")
    directory.assign(NUMBER, "night")
    answers = [directory.answering(number) for number in (NUMBER, "+15550111", "")]
    assert [each and each.agent for each in answers] == ["night", ANY_NUMBER, ANY_NUMBER]


def test_the_default_agent_does_not_speak_in_the_place_of_one_that_is_gone(
    directory: DynamoDirectory,
) -> None:
    directory.put_agent(ANY_NUMBER)
    directory.put_agent("night")
    directory.assign(NUMBER, "night")
    directory.remove_agent("night")
    assert directory.answering(NUMBER) is None


def test_what_an_agent_was_not_told_follows_the_defaults(directory: DynamoDirectory) -> None:
    agent = directory.put_agent("night", voice="cedar")
    assert agent.overrides == '{"voice":"cedar"}'


def test_agents_and_numbers_do_not_expire(directory: DynamoDirectory, clock: Clock) -> None:
    directory.put_agent("night")
    directory.assign(NUMBER, "night")
    clock.pass_seconds(2 * RECORD_SECONDS)
    assert directory.answering(NUMBER) is not None
    assert directory.numbers_of("night") == [NUMBER]


def test_what_is_removed_is_removed_once(directory: DynamoDirectory) -> None:
    directory.put_agent("night")
    directory.assign(NUMBER, "night")
    directory.remove_agent("night")
    directory.unassign(NUMBER)
    with pytest.raises(UnknownAgent):
        directory.remove_agent("night")
    with pytest.raises(UnknownNumber):
        directory.unassign(NUMBER)


def test_an_agent_fits_into_the_record_of_a_call(directory: DynamoDirectory) -> None:
    with pytest.raises(TooLarge):
        directory.put_agent("night", instructions="x" * CONFIG_BYTES_MAX)
