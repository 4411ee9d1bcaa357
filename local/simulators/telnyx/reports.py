"""The plan, the record and the webhooks of a simulated call."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from simulators.telnyx import events
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.commands import StreamSettings
from simulators.telnyx.media import MediaLog, MediaStream
from simulators.telnyx.sound import CallSound
from simulators.telnyx.webhooks import (
    RETRY_DELAYS_MS,
    Event,
    SentWebhook,
    WebhookSender,
    timestamp_now,
)

MAX_WEBHOOK_HOLD_SECONDS = 0.5
LATE_NEWS_S = 5.0

State = Literal["ringing", "answered", "ended"]
PREMIUM_DETECTION = ("premium", "premium_ios_call_screening_detection")


@dataclass(frozen=True, slots=True)
class CallEnding:
    cause: str
    source: Literal["caller", "callee", "unknown"]
    sip_cause: str


@dataclass(frozen=True, slots=True)
class CallPlan:
    """The parameters with which a call was requested."""

    direction: Literal["incoming", "outgoing"]
    to: str
    from_: str
    connection_id: str
    call_session_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_state: str | None = None
    webhook_url: str | None = None
    retries_ms: Mapping[str, Sequence[int]] = field(default_factory=dict)
    stream: StreamSettings | None = None
    timeout_ms: int = 30_000
    timeout_cause: str = "timeout"
    time_limit_ms: int = 14_400_000
    detection: str = "disabled"
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class ReceivedCommand:
    name: str
    body: Mapping[str, Any]
    command_id: str | None
    status: int
    at_s: float


class Reporter(Protocol):
    """Delivers the webhooks of a call and shows its events."""

    sender: WebhookSender

    @property
    def api_base(self) -> str: ...

    def run(self, delivery: Coroutine[None, None, None]) -> None: ...
    def notify(self, call_control_id: str, name: str, detail: str) -> None: ...


class ReportedCall:
    def __init__(
        self, reporter: Reporter, plan: CallPlan, person: Person, faults: CarrierFaults
    ) -> None:
        self._reporter = reporter
        self.plan = plan
        self.person = person
        self.faults = faults
        self.call_control_id = "v3:" + secrets.token_urlsafe(32)
        self.call_leg_id = str(uuid.uuid4())
        self.client_state = plan.client_state
        self.webhook_url = plan.webhook_url
        self.recording_id = str(uuid.uuid4()) if plan.recorded else None
        self.recording = CallSound()
        """The sound recorded under `recording_id` so far."""
        self.recordings: dict[str, CallSound] = {}
        """The complete recordings by id."""
        self.start_time = timestamp_now()
        self.end_time: str | None = None
        self.answered = False
        self.ending: CallEnding | None = None
        self.commands: list[ReceivedCommand] = []
        self.webhooks: list[SentWebhook] = []
        self.media = MediaLog()

    @property
    def to(self) -> str:
        return self.plan.to

    @property
    def from_(self) -> str:
        return self.plan.from_

    @property
    def state(self) -> State:
        if self.ending:
            return "ended"
        return "answered" if self.answered else "ringing"

    def knows(self, command_id: str, window_s: float) -> bool:
        """Whether a command with this id was executed within the window."""
        since_s = time.monotonic() - window_s
        return any(
            each.command_id == command_id and each.status == 200 and each.at_s >= since_s
            for each in self.commands
        )

    def post(self, kind: type[events.WebhookPayload], **fields: Any) -> None:
        webhook = SentWebhook(
            Event(kind.event_type, str(uuid.uuid4()), timestamp_now(), self._payload(kind, fields))
        )
        self.webhooks.append(webhook)
        if self.webhook_url is not None:
            self._reporter.run(self._deliver(webhook, self.webhook_url))

    def post_initiated(self) -> None:
        outgoing = self.plan.direction == "outgoing"
        self.post(
            events.CallInitiatedPayload,
            direction=self.plan.direction,
            state="bridging" if outgoing else "parked",
            caller_id_name=self.from_,
            offered_codecs="PCMU,G729" if self.person.codec == "PCMU" else "PCMA,G729",
        )

    def post_detection_started(self) -> None:
        if self.plan.detection in PREMIUM_DETECTION:
            self.post(events.PremiumDetectionStartedPayload)

    def post_greeting_ended(self) -> None:
        """Report the end of a greeting. With `detect`, the carrier does not listen for that
        long."""
        if self.plan.detection in PREMIUM_DETECTION:
            self.post(events.PremiumGreetingEndedPayload, result="beep_detected")
        elif self.plan.detection not in ("disabled", "detect"):
            self.post(events.MachineGreetingEndedPayload, result="beep_detected")

    def post_detection(self) -> None:
        if self.plan.detection in PREMIUM_DETECTION:
            result = "machine" if self.person.machine else "human_residence"
            self.post(events.PremiumDetectionEndedPayload, result=result)
        elif self.plan.detection != "disabled":
            result = "machine" if self.person.machine else "human"
            self.post(events.MachineDetectionEndedPayload, result=result)

    async def report_stopped(self, stream_url: str | None) -> None:
        """Post `streaming.stopped`, as the faults say."""
        news = self.faults.stop_news
        if news == "late" and self.ending is None:
            await asyncio.sleep(LATE_NEWS_S)
        for _ in range({"sent": 1, "missing": 0, "late": 1, "twice": 2}[news]):
            self.post(events.StreamingStoppedPayload, stream_url=stream_url)

    def post_failed(self, stream: MediaStream) -> None:
        settings = stream.settings
        self.post(
            events.StreamingFailedPayload,
            failure_reason="connection_failed",
            stream_id=stream.stream_id,
            stream_params=events.StreamParams(str(settings.stream_url), settings.stream_track),
        )

    def post_ended(self) -> None:
        assert self.ending is not None
        assert self.end_time is not None
        stats = {
            "inbound": {"mos": "4.50", "packet_count": str(self.media.frames_out)},
            "outbound": {"packet_count": str(self.media.frames_in), "skip_packet_count": "0"},
        }
        self.post(
            events.CallHangupPayload,
            end_time=self.end_time,
            hangup_cause=self.ending.cause,
            hangup_source=self.ending.source,
            sip_hangup_cause=self.ending.sip_cause,
            **({"call_quality_stats": stats} if self.answered else {}),
        )
        if self.recording_id is not None and self.answered:
            self.post_recording()
        self.notify("hangup", f"{self.ending.cause} by {self.ending.source}")

    def post_recording(self) -> None:
        assert self.recording_id is not None
        self.recordings[self.recording_id], self.recording = self.recording, CallSound()
        url = f"{self._reporter.api_base}/recordings/{self.recording_id}.mp3?expires=600"
        self.post(
            events.RecordingSavedPayload,
            recording_id=self.recording_id,
            channels="dual",
            format="mp3",
            recording_urls={"mp3": url},
            recording_started_at=self.start_time,
            recording_ended_at=timestamp_now(),
        )
        self.recording_id = None

    def _payload(
        self, kind: type[events.WebhookPayload], fields: dict[str, Any]
    ) -> events.WebhookPayload:
        of_leg = {"from_": self.from_, "to": self.to, "start_time": self.start_time}
        return kind(
            call_control_id=self.call_control_id,
            call_leg_id=self.call_leg_id,
            call_session_id=self.plan.call_session_id,
            connection_id=self.plan.connection_id,
            client_state=self.client_state,
            **(of_leg if issubclass(kind, events.LegPayload) else {}),
            **fields,
        )

    async def _deliver(self, webhook: SentWebhook, url: str) -> None:
        await self._hold_back(webhook)
        retries_ms = self.plan.retries_ms.get(webhook.type, RETRY_DELAYS_MS)
        async with asyncio.TaskGroup() as copies:
            for _ in range(2 if self.faults.duplicate_webhooks else 1):
                copies.create_task(self._reporter.sender.deliver(webhook, url, retries_ms))
        self.notify("webhook", f"{webhook.type} {webhook.statuses}")
        if webhook.type == "call.hangup" or not self.faults.hangup_before_answered:
            for earlier in self.webhooks[: self.webhooks.index(webhook)]:
                earlier.overtaken.set()

    async def _hold_back(self, webhook: SentWebhook) -> None:
        if self.faults.hangup_before_answered and webhook.type == "call.answered":
            await webhook.overtaken.wait()
        elif self.faults.swap_webhooks and self.webhooks.index(webhook) % 2 == 0:
            try:
                async with asyncio.timeout(MAX_WEBHOOK_HOLD_SECONDS):
                    await webhook.overtaken.wait()
            except TimeoutError:
                pass  # nothing came after it

    def notify(self, name: str, detail: str) -> None:
        self._reporter.notify(self.call_control_id, name, detail)
