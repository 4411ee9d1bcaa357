"""The limits in the table, under requests at the same time, and as the API answers them."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import boto3
import pytest
from botocore.config import Config

import ai_calls
from control_plane import services
from control_plane.call_limits import PLACING_MS
from phonebridge.call.call import Hangup
from phonebridge.call.events import CallHungUp
from phonebridge.errors import PhonebridgeError
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import LEG
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

Reconfigure = Callable[..., None]


@pytest.fixture
def reconfigure(monkeypatch: pytest.MonkeyPatch) -> Reconfigure:
    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        services.control_plane.cache_clear()

    return set_variables


def create(**body: object) -> Answer:
    event = api_event(
        "POST", "/api/ai-calls/create", json.dumps({"to": "+15550100"} | body).encode()
    )
    return read_answer(ai_calls.handler(event, None))


def end(call_id: str, clock: Clock) -> None:
    hangup = CallHungUp(LEG, Hangup("normal_clearing", "callee", clock.now_ms))
    services.control_plane().switchboard.apply(call_id, hangup)


@pytest.fixture
def patient_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests of a hundred threads wait for each other on a busy machine."""
    patient = Config(read_timeout=120, max_pool_connections=100)
    monkeypatch.setattr(
        services, "dynamodb_client", lambda: boto3.client("dynamodb", config=patient)
    )


@pytest.mark.usefixtures("patient_client")
def test_of_a_hundred_requests_at_once_exactly_the_limit_is_placed(
    reconfigure: Reconfigure,
) -> None:
    reconfigure(MAX_CONCURRENT_CALLS="10")
    limits = services.control_plane().limits

    def reserve(number: int) -> str:
        try:
            limits.reserve(f"call-{number}", 60)
        except PhonebridgeError as error:
            return type(error).__name__
        return "placed"

    with ThreadPoolExecutor(100) as requests:
        found = Counter(requests.map(reserve, range(100)))
    assert found == {"placed": 10, "LimitReached": 90}


def create_many(count: int) -> list[int]:
    return [create(to=f"+155501{number:05d}").status for number in range(count)]


def test_of_a_hundred_creates_by_several_lambdas_at_once_exactly_the_limit_is_dialled(
    reconfigure: Reconfigure, telnyx: RecordedTelnyx
) -> None:
    """A process is what a Lambda is: it handles one request at a time."""
    reconfigure(MAX_CONCURRENT_CALLS="10")
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as lambdas:
        found = Counter(sum(lambdas.map(create_many, [25] * 4), start=[]))
    assert found == {201: 10, 429: 90}
    assert telnyx.names == ["calls"] * 10


def test_a_call_beyond_the_limit_is_answered_429_and_not_dialled(
    reconfigure: Reconfigure, telnyx: RecordedTelnyx
) -> None:
    reconfigure(MAX_CONCURRENT_CALLS="1")
    assert create().status == 201
    refused = create()
    assert (refused.status, refused.error["code"]) == (429, "limit_reached")
    assert "The limit of 1 calls at a time is reached" in refused.error["message"]
    assert refused.headers["Retry-After"] == "10"
    assert len(telnyx.commands) == 1


def test_a_call_that_ends_makes_room_and_returns_its_minutes(
    reconfigure: Reconfigure, clock: Clock
) -> None:
    reconfigure(MAX_CONCURRENT_CALLS="1", MAX_MINUTES_PER_DAY="30")
    first = create(max_duration_seconds=1800)
    assert create(max_duration_seconds=1800).status == 429
    end(first.json["call_id"], clock)
    assert create(max_duration_seconds=1800).status == 201


def test_minutes_of_a_day(reconfigure: Reconfigure) -> None:
    reconfigure(MAX_MINUTES_PER_DAY="30")
    assert create(max_duration_seconds=1200).status == 201
    refused = create(max_duration_seconds=1200)
    assert (refused.status, refused.error["code"]) == (429, "limit_reached")
    assert "30 minutes a day" in refused.error["message"]


def test_a_place_whose_call_was_never_placed_is_free_after_a_minute(
    reconfigure: Reconfigure, clock: Clock
) -> None:
    reconfigure(MAX_CONCURRENT_CALLS="1")
    services.control_plane().limits.reserve("died-before-its-record", 600)
    assert create().status == 429
    clock.now_ms += PLACING_MS + 1
    assert create().status == 201


def test_a_dial_that_fails_gives_its_place_back(
    reconfigure: Reconfigure, telnyx: RecordedTelnyx
) -> None:
    reconfigure(MAX_CONCURRENT_CALLS="1")
    telnyx.refusals = [(403, {"errors": [{"code": "10010", "title": "No", "detail": "No."}]})]
    assert create().status == 502
    assert create().status == 201
