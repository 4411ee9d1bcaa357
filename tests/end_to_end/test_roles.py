"""One call through handlers and container, each under the role that template.yaml gives it. The
roles allow every request of the code, and the code uses every permission."""

import asyncio
import base64
import importlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import media_bridge.__main__ as container
from control_plane import services
from media_bridge.runtime.draining import EcsTask
from media_bridge.runtime.server import run_server
from phonebridge.call.call import Call, CallStatus, Outcome
from phonebridge.call.overdue import ANSWER_TIMEOUT_MS
from phonebridge.jobs import JobQueue
from phonebridge.outcomes import OutcomeAnnouncer
from phonebridge.secrets import fetch_secret, with_secrets
from phonebridge.settings import MediaSettings
from phonebridge.storage.call_store import DynamoCallStore
from simulators.openai.server import OpenAISimulator
from simulators.scenario import SHORT
from tests.support import moto_stack
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import NOW_MS, browser_call
from tests.support.doctor_setups import House, opened
from tests.support.media_plane import SECRET, Outside
from tests.support.permissions import Caller, granted, role_of
from tests.support.recorded_files import RecordedFiles, recorded_files
from tests.support.recorded_telnyx import LEG, RecordedTelnyx, recorded_telnyx
from tests.support.translated import functions, secret_names
from tests.support.waiting import until

if TYPE_CHECKING:
    pass

KEY = Ed25519PrivateKey.generate()
MEDIA_ROLE = "MediaTaskRole"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def telnyx() -> Iterator[RecordedTelnyx]:
    with recorded_telnyx() as telnyx:
        yield telnyx


@pytest.fixture
def provider_secret(dynamodb_address: str) -> str:
    """Its ARN."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=dynamodb_address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    keys = {
        "OPENAI_API_KEY": "sk-test",
        "TELNYX_API_KEY": "KEY-test",
        "TELNYX_PUBLIC_KEY": base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
        "STREAM_TOKEN_SECRET": SECRET,
    }
    made = client.create_secret(Name=f"provider-{now_ms()}", SecretString=json.dumps(keys))
    client.close()
    return str(made["ARN"])


@pytest.fixture
def files() -> Iterator[RecordedFiles]:
    """Serves the carrier's recordings, and receives outcome webhooks."""
    with recorded_files() as served:
        yield served


@pytest.fixture
def state(cloudformation: Any) -> Mapping[str, str]:
    names = [name for name in moto_stack.names_of_state() if name != "CallsTable"]
    return moto_stack.create(cloudformation, names)


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    dynamodb_address: str,
    table_name: str,
    telnyx: RecordedTelnyx,
    provider_secret: str,
    state: Mapping[str, str],
    files: RecordedFiles,
) -> Iterator[None]:
    # The system that other tests of this folder share has an environment of its own.
    for name in [n for n in os.environ if n.startswith(("AWS_", "MEDIA_", "OPENAI_", "TELNYX_"))]:
        monkeypatch.delenv(name)
    variables = {
        "AWS_ENDPOINT_URL": dynamodb_address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "CALLS_TABLE": table_name,
        "BASE_PUBLIC_URL": "https://phonebridge.example",
        "PROVIDER_SECRET_ARN": provider_secret,
        "TELNYX_API_BASE": telnyx.base,
        "TELNYX_CONNECTION_ID": "42",
        "TELNYX_FROM_NUMBER": "+15550199",
        "RECORDINGS_BUCKET": state["RecordingsBucket"],
        "RECORDINGS_QUEUE_URL": state["RecordingsQueue"],
        "OUTCOMES_QUEUE_URL": state["OutcomesQueue"],
        "OUTCOME_WEBHOOK_URL": f"{files.base}/calls",
        "TOOL_HOSTS_ALLOWED": files.host,
    }
    # Of the whole system, if it runs beside this.
    addresses = {f"AWS_ENDPOINT_URL_{service}" for service in ("DYNAMODB", "SQS", "S3")}
    for name in addresses | secret_names():
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield
    services.control_plane.cache_clear()


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Handlers as AWS runs them: each in a process of its own, under a role of its own."""

    caller: Caller

    def invoke(self, handler: str, event: object) -> Any:
        module, function = handler.split(".")
        self.caller.role = role_of(module)
        services.control_plane.cache_clear()
        try:
            return getattr(importlib.import_module(module), function)(event, None)
        finally:
            self.caller.role = None

    def request(self, method: str, path: str, **event: Any) -> Answer:
        answer = read_answer(self.invoke("ai_calls.handler", api_event(method, path, **event)))
        assert answer.status < 300, answer.json
        return answer

    def work_off(self, handler: str, queue_url: str, count: int) -> int:
        """So many messages of a queue, as Lambda hands them over; how many it will get again."""
        sqs = boto3.Session().client("sqs")
        messages: list[Any] = []
        while len(messages) < count:
            found = sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=10
            )
            messages += found["Messages"]
        sqs.close()
        failed = 0
        for message in messages:
            record = {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            failed += len(self.invoke(handler, {"Records": [record]})["batchItemFailures"])
        return failed

    def webhook(self, event_type: str, call_id: str, **payload: Any) -> None:
        state = base64.b64encode(call_id.encode()).decode()
        data = {
            "event_type": event_type,
            "id": f"event-{event_type}",
            "occurred_at": "2026-09-14T09:30:04.370371Z",
            "payload": LEG | {"client_state": state} | payload,
        }
        body, timestamp = json.dumps({"data": data}).encode(), str(now_ms() // 1000)
        signature = KEY.sign(timestamp.encode() + b"|" + body)
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }
        event = api_event("POST", "/webhooks/telnyx", body, headers)
        assert read_answer(self.invoke("telnyx_webhook.handler", event)).status == 200


@pytest.fixture
def caller(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    table_name: str,
    provider_secret: str,
    state: Mapping[str, str],
) -> Iterator[Caller]:
    names = {physical: name for name, physical in state.items()}
    caller = Caller(names | {table_name: "CallsTable", provider_secret: "ProviderSecret"})
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", caller.session())
    yield caller
    services.control_plane.cache_clear()


@asynccontextmanager
async def media_container(
    caller: Caller, store: DynamoCallStore, telnyx: RecordedTelnyx
) -> AsyncIterator[Outside]:
    async with OpenAISimulator(scenario=SHORT, think_ms=0) as model:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(boto3, "DEFAULT_SESSION", caller.session())
            environ = {**with_secrets(os.environ, fetch_secret), "OPENAI_REALTIME_URL": model.url}
            task = container.media_worker(MediaSettings.from_env(environ), None)
        async with task.running(), run_server(task, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            outside = Outside(address=f"{host}:{port}", store=store, telnyx=telnyx, now_ms=now_ms)
            task._bury("another-task")  # as for a task that this one has marked as dead
            try:
                yield outside
            finally:
                await outside.all_hang_up()
                await task.drain(0)


async def test_every_role_allows_what_one_call_asks_of_it_and_no_more(
    caller: Caller,
    store: DynamoCallStore,
    telnyx: RecordedTelnyx,
    state: Mapping[str, str],
    files: RecordedFiles,
) -> None:
    plane = ControlPlane(caller)
    plane.request("PUT", "/api/agents/reception", body=b"{}")
    plane.invoke("ai_calls.handler", api_event("DELETE", "/api/agents/reception"))
    media = Caller(caller.physical, MEDIA_ROLE)
    async with media_container(media, store, telnyx) as outside:
        call_id = await _whole_call(plane, outside)
        await asyncio.to_thread(_copy_recording, plane, call_id, files, state)
        _busy_call(plane)
        _lost_call(plane, store)
        _refused_call(plane, telnyx)
        # Of four calls, the first attempt fails.
        files.statuses = [500]
        queue = state["OutcomesQueue"]
        left = await asyncio.to_thread(plane.work_off, "send_outcome.handler", queue, 4)
        assert left == 1
    _ask_ecs(media)
    _announce_browser_call(media, store, state)

    assert caller.refused == media.refused == []
    for role in (*_roles_of_functions(), MEDIA_ROLE):
        asked = (media if role == MEDIA_ROLE else caller).asked.get(role, set())
        unused = {each for each in granted(role) if not any(map(each.allows, asked))}
        assert not unused, role


def _announce_browser_call(media: Caller, store: DynamoCallStore, state: Mapping[str, str]) -> None:
    """No webhook of a carrier reports the end of a browser call, so the container does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", media.session())
        queue = JobQueue(state["OutcomesQueue"])
        announcer = OutcomeAnnouncer(store, queue, "https://crm.example/calls", lambda: NOW_MS)
        announcer.announce_browser_call(browser_call())


def _ask_ecs(media: Caller) -> None:
    """moto knows no such cluster: what counts is that the question is allowed."""
    metadata = House(media=(200, b'{"Cluster": "media", "TaskARN": "arn:aws:ecs:::task/media/1"}'))
    with opened(metadata), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", media.session())
        with pytest.raises(ClientError):
            EcsTask(f"http://127.0.0.1:{metadata.port}").is_draining()


async def _whole_call(plane: ControlPlane, outside: Outside) -> str:
    """Its id."""
    body = json.dumps({"to": "+15550100", "instructions": "Be brief."}).encode()
    created = plane.request(
        "POST", "/api/ai-calls/create", body=body, headers={"idempotency-key": "order-1"}
    )
    call_id = created.json["call_id"]
    plane.webhook("call.answered", call_id)
    call = _load(outside, call_id)
    phone = await outside.dial_in(call, outside.token(call))
    await phone.send({"event": "connected", "version": "1.0.0"})
    await phone.start()
    await phone.hear()

    assert plane.request("GET", "/api/ai-calls/status").json["calls"]
    plane.request("POST", f"/api/ai-calls/{call_id}/interrupt")
    await phone.hear("clear")

    plane.request("POST", f"/api/ai-calls/{call_id}/hangup")
    plane.webhook("call.hangup", call_id, hangup_cause="normal_clearing", hangup_source="caller")
    await phone.hang_up()
    await until(lambda: outside.record(call).activity.frames_out > 0)
    plane.request("GET", "/api/ai-calls/status", query={"ended": "true"})
    assert plane.request("GET", f"/api/ai-calls/{call_id}").json["turns"]
    return str(call_id)


def _refused_call(plane: ControlPlane, telnyx: RecordedTelnyx) -> None:
    telnyx.refusals = [(403, {"errors": [{"code": "10010", "title": "No", "detail": "No."}]})]
    body = json.dumps({"to": "+15550124"}).encode()
    refused = plane.invoke("ai_calls.handler", api_event("POST", "/api/ai-calls/create", body))
    assert refused["statusCode"] == 502


def _copy_recording(
    plane: ControlPlane, call_id: str, files: RecordedFiles, state: Mapping[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELNYX_API_BASE", files.base)
        link = {"recording_id": "rec-1", "recording_urls": {"mp3": f"{files.base}/1.mp3"}}
        plane.webhook("call.recording.saved", call_id, **link)
        assert plane.work_off("copy_recording.handler", state["RecordingsQueue"], count=1) == 0
    [recording] = plane.request("GET", f"/api/ai-calls/{call_id}").json["recordings"]
    assert recording["state"] == "kept"


def _busy_call(plane: ControlPlane) -> None:
    body = json.dumps({"to": "+15550101"}).encode()
    call_id = plane.request("POST", "/api/ai-calls/create", body=body).json["call_id"]
    plane.webhook("call.hangup", call_id, hangup_cause="user_busy", hangup_source="callee")


def _lost_call(plane: ControlPlane, store: DynamoCallStore) -> None:
    """No media socket of the call ever comes, although the first sweep requests one more. Its
    hangup is not confirmed yet."""
    body = json.dumps({"to": "+15550123"}).encode()
    call_id = plane.request("POST", "/api/ai-calls/create", body=body).json["call_id"]
    plane.webhook("call.answered", call_id)
    for late_ms in (2 * ANSWER_TIMEOUT_MS, 4 * ANSWER_TIMEOUT_MS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(services, "now_ms", lambda late_ms=late_ms: now_ms() + late_ms)
            plane.invoke("sweep_calls.handler", {})
    lost = store.load(call_id)
    assert lost
    assert (lost.status, lost.outcome) == (CallStatus.ENDED, Outcome.FAILED)


def _load(outside: Outside, call_id: str) -> Call:
    call = outside.store.load(call_id)
    assert call
    return call


def _roles_of_functions() -> list[str]:
    return [function["Role"]["Fn::GetAtt"][0] for function in functions().values()]
