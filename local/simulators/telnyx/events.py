"""Webhook payloads of Call Control v2. They have the documented fields, and those that real
deliveries were seen to have in addition."""

from typing import ClassVar

import msgspec


class WebhookPayload(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    event_type: ClassVar[str]
    call_control_id: str
    call_leg_id: str
    call_session_id: str
    connection_id: str
    client_state: str | None


class LegPayload(WebhookPayload, kw_only=True):
    from_: str
    to: str
    start_time: str
    """The start of the call, even in call.answered. So the talk time cannot be computed from it."""
    calling_party_type: str = "pstn"


class CallInitiatedPayload(LegPayload, kw_only=True):
    event_type: ClassVar[str] = "call.initiated"
    direction: str
    state: str
    caller_id_name: str
    connection_codecs: str = "PCMA,PCMU,VP8,H264"
    offered_codecs: str
    custom_headers: list[str] = []
    shaken_stir_validated: bool = False


class CallAnsweredPayload(LegPayload, kw_only=True):
    """Real payloads lack the documented `state`."""

    event_type: ClassVar[str] = "call.answered"
    codec: str
    sampling_rate: int = 8000


class CallHangupPayload(LegPayload, kw_only=True):
    event_type: ClassVar[str] = "call.hangup"
    end_time: str
    hangup_cause: str
    hangup_source: str
    sip_hangup_cause: str
    call_quality_stats: dict[str, dict[str, str]] | msgspec.UnsetType = msgspec.UNSET
    telnyx_error: None = None


class CallBridgedPayload(LegPayload, kw_only=True):
    event_type: ClassVar[str] = "call.bridged"


class _ResultPayload(LegPayload, kw_only=True):
    result: str


class MachineDetectionEndedPayload(_ResultPayload, kw_only=True):
    event_type: ClassVar[str] = "call.machine.detection.ended"


class MachineGreetingEndedPayload(_ResultPayload, kw_only=True):
    event_type: ClassVar[str] = "call.machine.greeting.ended"


class PremiumDetectionStartedPayload(LegPayload, kw_only=True):
    event_type: ClassVar[str] = "call.machine.premium.detection.started"


class PremiumGreetingEndedPayload(_ResultPayload, kw_only=True):
    event_type: ClassVar[str] = "call.machine.premium.greeting.ended"


class PremiumDetectionEndedPayload(_ResultPayload, kw_only=True):
    event_type: ClassVar[str] = "call.machine.premium.detection.ended"


class DtmfReceivedPayload(LegPayload, kw_only=True):
    event_type: ClassVar[str] = "call.dtmf.received"
    digit: str


class StreamingStartedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "streaming.started"
    stream_url: str
    stream_id: str | msgspec.UnsetType = msgspec.UNSET


class StreamingStoppedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "streaming.stopped"
    stream_url: str


class StreamParams(msgspec.Struct):
    stream_url: str
    track: str


class StreamingFailedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "streaming.failed"
    failure_reason: str
    stream_id: str
    stream_type: str = "websocket"
    stream_params: StreamParams


class RecordingSavedPayload(WebhookPayload, kw_only=True):
    """It has neither `from` nor `to`."""

    event_type: ClassVar[str] = "call.recording.saved"
    recording_id: str
    channels: str
    format: str
    recording_urls: dict[str, str]
    public_recording_urls: dict[str, str] = {}
    recording_started_at: str
    recording_ended_at: str


class PlaybackStartedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "call.playback.started"
    media_url: str | None
    overlay: bool = False


class PlaybackEndedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "call.playback.ended"
    media_url: str | None
    overlay: bool = False
    status: str = "completed"


class SpeakStartedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "call.speak.started"


class SpeakEndedPayload(WebhookPayload, kw_only=True):
    event_type: ClassVar[str] = "call.speak.ended"
    status: str = "completed"
