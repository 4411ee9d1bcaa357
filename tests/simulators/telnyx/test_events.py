"""The official SDK reads every payload as the event that it claims to be."""

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from telnyx.types import (
    CallAnswered,
    CallBridged,
    CallDtmfReceived,
    CallHangup,
    CallInitiated,
    CallMachineDetectionEnded,
    CallMachineGreetingEnded,
    CallMachinePremiumDetectionEnded,
    CallMachinePremiumGreetingEnded,
    CallPlaybackEnded,
    CallPlaybackStarted,
    CallRecordingSaved,
    CallSpeakEnded,
    CallSpeakStarted,
    CallStreamingFailed,
    CallStreamingStarted,
    CallStreamingStopped,
)

from simulators.telnyx import events
from simulators.telnyx.webhooks import Event, timestamp_now

LEG: dict[str, Any] = {
    "call_control_id": "v3:call",
    "call_leg_id": "leg",
    "call_session_id": "session",
    "connection_id": "1",
    "client_state": None,
}
ENDS = LEG | {"from_": "+15550100", "to": "+15550199", "start_time": timestamp_now()}
URL = "wss://example.com/media"


@pytest.mark.parametrize(
    ("payload", "official"),
    [
        (
            events.CallInitiatedPayload(
                **ENDS,
                direction="incoming",
                state="parked",
                caller_id_name="+15550100",
                offered_codecs="PCMU,G729",
            ),
            CallInitiated,
        ),
        (events.CallAnsweredPayload(**ENDS, codec="PCMU"), CallAnswered),
        (
            events.CallHangupPayload(
                **ENDS,
                end_time=timestamp_now(),
                hangup_cause="normal_clearing",
                hangup_source="callee",
                sip_hangup_cause="200",
            ),
            CallHangup,
        ),
        (events.CallBridgedPayload(**ENDS), CallBridged),
        (events.MachineDetectionEndedPayload(**ENDS, result="human"), CallMachineDetectionEnded),
        (
            events.PremiumDetectionEndedPayload(**ENDS, result="machine"),
            CallMachinePremiumDetectionEnded,
        ),
        (events.MachineGreetingEndedPayload(**ENDS, result="ended"), CallMachineGreetingEnded),
        (
            events.PremiumGreetingEndedPayload(**ENDS, result="beep_detected"),
            CallMachinePremiumGreetingEnded,
        ),
        (events.DtmfReceivedPayload(**ENDS, digit="5"), CallDtmfReceived),
        (events.StreamingStartedPayload(**LEG, stream_url=URL), CallStreamingStarted),
        (events.StreamingStoppedPayload(**LEG, stream_url=URL), CallStreamingStopped),
        (
            events.StreamingFailedPayload(
                **LEG,
                failure_reason="connection_failed",
                stream_id="id",
                stream_params=events.StreamParams(URL, "inbound_track"),
            ),
            CallStreamingFailed,
        ),
        (
            events.RecordingSavedPayload(
                **LEG,
                recording_id="id",
                channels="dual",
                format="mp3",
                recording_urls={"mp3": "https://example.com/a.mp3"},
                recording_started_at=timestamp_now(),
                recording_ended_at=timestamp_now(),
            ),
            CallRecordingSaved,
        ),
        (events.PlaybackStartedPayload(**LEG, media_url=None), CallPlaybackStarted),
        (events.PlaybackEndedPayload(**LEG, media_url=None), CallPlaybackEnded),
        (events.SpeakStartedPayload(**LEG), CallSpeakStarted),
        (events.SpeakEndedPayload(**LEG), CallSpeakEnded),
    ],
    ids=lambda each: getattr(each, "event_type", ""),
)
def test_the_official_type_validates_it(
    payload: events.WebhookPayload, official: type[BaseModel]
) -> None:
    event = Event(payload.event_type, "id", timestamp_now(), payload)
    read = official.model_validate_json(msgspec.json.encode(event))
    written = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written["event_type"] == payload.event_type
    assert written["payload"]["call_leg_id"] == "leg"
