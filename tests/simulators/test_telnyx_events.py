"""Every payload is read by the official SDK as the event it claims to be."""

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

from simulators import telnyx_events as events
from simulators.telnyx_webhooks import Event, timestamp_now

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
            events.CallInitiated(
                **ENDS,
                direction="incoming",
                state="parked",
                caller_id_name="+15550100",
                offered_codecs="PCMU,G729",
            ),
            CallInitiated,
        ),
        (events.CallAnswered(**ENDS, codec="PCMU"), CallAnswered),
        (
            events.CallHangup(
                **ENDS,
                end_time=timestamp_now(),
                hangup_cause="normal_clearing",
                hangup_source="callee",
                sip_hangup_cause="200",
            ),
            CallHangup,
        ),
        (events.CallBridged(**ENDS), CallBridged),
        (events.MachineDetectionEnded(**ENDS, result="human"), CallMachineDetectionEnded),
        (events.PremiumDetectionEnded(**ENDS, result="machine"), CallMachinePremiumDetectionEnded),
        (events.MachineGreetingEnded(**ENDS, result="ended"), CallMachineGreetingEnded),
        (
            events.PremiumGreetingEnded(**ENDS, result="beep_detected"),
            CallMachinePremiumGreetingEnded,
        ),
        (events.DtmfReceived(**ENDS, digit="5"), CallDtmfReceived),
        (events.StreamingStarted(**LEG, stream_url=URL), CallStreamingStarted),
        (events.StreamingStopped(**LEG, stream_url=URL), CallStreamingStopped),
        (
            events.StreamingFailed(
                **LEG,
                failure_reason="connection_failed",
                stream_id="id",
                stream_params=events.StreamParams(URL, "inbound_track"),
            ),
            CallStreamingFailed,
        ),
        (
            events.RecordingSaved(
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
        (events.PlaybackStarted(**LEG, media_url=None), CallPlaybackStarted),
        (events.PlaybackEnded(**LEG, media_url=None), CallPlaybackEnded),
        (events.SpeakStarted(**LEG), CallSpeakStarted),
        (events.SpeakEnded(**LEG), CallSpeakEnded),
    ],
    ids=lambda each: getattr(each, "event_type", ""),
)
def test_the_official_type_validates_it(payload: events.Payload, official: type[BaseModel]) -> None:
    event = Event(payload.event_type, "id", timestamp_now(), payload)
    read = official.model_validate_json(msgspec.json.encode(event))
    written = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written["event_type"] == payload.event_type
    assert written["payload"]["call_leg_id"] == "leg"
