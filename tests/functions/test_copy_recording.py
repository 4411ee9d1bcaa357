"""Recordings on their way from the carrier into our bucket."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

import copy_recording
from aws import state
from control_plane import recordings, services
from control_plane.recordings import CopyRecording
from phonebridge.call.config import CallConfig
from phonebridge.call.recording import LINK_SECONDS, Recording, RecordingState, SavedRecording
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.calls import outbound_call
from tests.support.clock import Clock
from tests.support.permissions import Caller
from tests.support.recorded_files import RecordedFiles, recorded_files

KEY = "recordings/call-1/rec-1.mp3"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, state: Mapping[str, str]) -> Iterator[RecordedFiles]:
    """Serves files at the carrier's own address, where plain HTTP is allowed."""
    with recorded_files() as served:
        monkeypatch.setenv("TELNYX_API_BASE", f"{served.base}/v2")
        services.control_plane.cache_clear()
        yield served


@pytest.fixture
def s3(dynamodb_address: str) -> Any:
    client = state.client("s3", dynamodb_address)
    yield client
    client.close()


@pytest.fixture
def call(store: DynamoCallStore, files: RecordedFiles) -> None:
    store.create(outbound_call(), CallConfig(record=True))


def recording_at(url: str) -> SavedRecording:
    return SavedRecording(
        recording_id="rec-1", format="mp3", channels="dual", url=url, duration_ms=91_100
    )


def errand(url: str, told_at_ms: int) -> dict[str, Any]:
    body = msgspec.json.encode(CopyRecording("call-1", recording_at(url), told_at_ms)).decode()
    attributes = {"ApproximateReceiveCount": "1"}
    message = {"messageId": "m-1", "receiptHandle": "r-1", "attributes": attributes}
    return {"Records": [message | {"body": body}]}


def copy(url: str, told_at_ms: int) -> list[str]:
    """What is to be tried again."""
    left = copy_recording.handler(errand(url, told_at_ms), None)["batchItemFailures"]
    return [each["itemIdentifier"] for each in left]


def stored_recording(store: DynamoCallStore) -> Recording:
    record = store.record("call-1")
    assert record
    [recording] = record.recordings
    return recording


@pytest.mark.usefixtures("call")
class TestACopy:
    def test_is_kept_under_the_calls_name(
        self,
        files: RecordedFiles,
        store: DynamoCallStore,
        s3: Any,
        state: Mapping[str, str],
        clock: Clock,
    ) -> None:
        assert copy(f"{files.base}/1.mp3?signed", clock.now_ms) == []

        found = s3.get_object(Bucket=state["RecordingsBucket"], Key=KEY)
        assert found["Body"].read() == files.content
        assert found["ContentType"] == "audio/mpeg"
        assert stored_recording(store) == Recording(
            recording_id="rec-1",
            format="mp3",
            channels="dual",
            key=KEY,
            duration_ms=91_100,
            state=RecordingState.STORED,
            size_bytes=len(files.content),
        )

    def test_is_made_once_however_often_it_is_asked_for(
        self, files: RecordedFiles, clock: Clock
    ) -> None:
        for _ in range(3):
            assert copy(f"{files.base}/1.mp3", clock.now_ms) == []

        assert files.asked == ["/1.mp3"]

    def test_is_tried_again_while_the_link_lives(
        self, files: RecordedFiles, store: DynamoCallStore, clock: Clock
    ) -> None:
        files.statuses = [503]
        assert copy(f"{files.base}/1.mp3", clock.now_ms) == ["m-1"]
        assert stored_recording(store).state is RecordingState.COPYING

        assert copy(f"{files.base}/1.mp3", clock.now_ms) == []
        assert stored_recording(store).state is RecordingState.STORED

    def test_is_given_up_with_the_link(
        self, files: RecordedFiles, store: DynamoCallStore, clock: Clock
    ) -> None:
        told_at_ms = clock.now_ms
        clock.pass_seconds(LINK_SECONDS + 1)
        files.statuses = [503]

        assert copy(f"{files.base}/1.mp3", told_at_ms) == []

        assert stored_recording(store).state is RecordingState.LOST

    @pytest.mark.parametrize("status", [403, 404, 302])
    def test_of_a_link_that_leads_nowhere_is_lost(
        self, status: int, files: RecordedFiles, store: DynamoCallStore, clock: Clock
    ) -> None:
        files.statuses = [status]

        assert copy(f"{files.base}/1.mp3", clock.now_ms) == []

        assert (stored_recording(store).state, stored_recording(store).problem) == (
            RecordingState.LOST,
            f"The link answered {status}.",
        )
        assert len(files.asked) == 1

    def test_of_what_has_no_end_is_not_made(
        self,
        files: RecordedFiles,
        store: DynamoCallStore,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recordings, "MAX_BYTES", 8)

        assert copy(f"{files.base}/1.mp3", clock.now_ms) == []

        assert (stored_recording(store).state, stored_recording(store).problem) == (
            RecordingState.LOST,
            "The response is longer than 8 bytes.",
        )

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1/1.mp3",
            "file:///etc/passwd",
            "https://[::1/1.mp3",
            "https://files.example:99999/1.mp3",
            "1.mp3",
        ],
    )
    def test_is_made_of_https_links_alone(
        self, url: str, store: DynamoCallStore, clock: Clock
    ) -> None:
        assert copy(url, clock.now_ms) == []

        assert (stored_recording(store).state, stored_recording(store).problem[:20]) == (
            RecordingState.LOST,
            "The URL is not https",
        )

    @pytest.mark.parametrize("host", ["localhost", "127.1", "[::ffff:127.0.0.1]", "169.254.170.2"])
    def test_is_not_made_of_a_link_into_the_private_network(
        self, host: str, files: RecordedFiles, store: DynamoCallStore, clock: Clock
    ) -> None:
        port = urlsplit(files.base).port
        assert copy(f"https://{host}:{port}/1.mp3", clock.now_ms) == []

        assert (stored_recording(store).state, stored_recording(store).problem) == (
            RecordingState.LOST,
            "The server has an address that is not public.",
        )
        assert files.asked == []


@pytest.mark.usefixtures("call")
def test_what_a_webhook_tells_becomes_an_errand_of_the_queue(
    store: DynamoCallStore,
    sqs: Any,
    state: Mapping[str, str],
    clock: Clock,
    caller: Caller,
) -> None:
    caller.role = "TelnyxWebhookFunctionRole"
    told = recording_at("https://recordings.example/1.mp3")

    services.control_plane().recordings.announce("call-1", told)

    [message] = sqs.receive_message(QueueUrl=state["RecordingsQueue"])["Messages"]
    assert json.loads(message["Body"])["call_id"] == "call-1"
    job = msgspec.json.decode(message["Body"], type=CopyRecording)
    assert job == CopyRecording("call-1", told, clock.now_ms)
    assert stored_recording(store).state is RecordingState.COPYING


@pytest.mark.usefixtures("call")
def test_without_a_bucket_a_recording_stays_with_the_carrier(
    store: DynamoCallStore, monkeypatch: pytest.MonkeyPatch, caller: Caller
) -> None:
    caller.role = "TelnyxWebhookFunctionRole"
    monkeypatch.setenv("RECORDINGS_BUCKET", "")
    services.control_plane.cache_clear()

    told = recording_at("https://recordings.example/1.mp3")
    services.control_plane().recordings.announce("call-1", told)

    record = store.record("call-1")
    assert record
    assert record.recordings == ()


@pytest.mark.usefixtures("call")
def test_the_record_links_to_the_copy(
    files: RecordedFiles, store: DynamoCallStore, clock: Clock, caller: Caller
) -> None:
    link = services.control_plane().recordings.link
    copy(f"{files.base}/1.mp3", clock.now_ms)
    caller.role = "AiCallsFunctionRole"

    url = link(stored_recording(store))

    assert url
    assert httpx.get(url, trust_env=False).content == files.content
