"""JSON bodies of Telnyx Call Control requests. `call_control.py` fills them in."""

import msgspec
from msgspec import UNSET, UnsetType

WEBHOOK_RETRIES_MS = (1_000, 3_000, 8_000, 18_000, 30_000)
"""Pauses between the deliveries of one webhook: as many and as long as Telnyx allows ("Dial",
`webhook_retries_policies`). So a webhook outlives an outage of a minute."""
RETRIED_WEBHOOKS = (
    "call.initiated",
    "call.answered",
    "call.bridged",
    "call.hangup",
    "call.speak.ended",
    "streaming.failed",
    "streaming.stopped",
)
"""Events without which a call would stay as it is until the sweep."""
CARRIER_VOICE = "Azure.en-US-BrianMultilingualNeural"
"""A voice of Telnyx's speech providers that speaks the language of the text."""


class CommandFields(msgspec.Struct, kw_only=True):
    client_state: str
    """Repeated in every later webhook of the leg, so that we find its call."""
    command_id: str


class WebhookRetries(msgspec.Struct):
    retries_ms: tuple[int, ...] = WEBHOOK_RETRIES_MS


def _retry_policies() -> dict[str, WebhookRetries]:
    return {event_type: WebhookRetries() for event_type in RETRIED_WEBHOOKS}


class NewLegFields(CommandFields, kw_only=True):
    webhook_url: str
    webhook_url_method: str = "POST"
    webhook_retries_policies: dict[str, WebhookRetries] = msgspec.field(
        default_factory=_retry_policies
    )
    record: str | UnsetType = UNSET


class DetectionConfig(msgspec.Struct):
    greeting_total_analysis_time_millis: int


class DialFields(NewLegFields, kw_only=True, rename={"from_": "from"}):
    connection_id: str
    to: str
    from_: str
    time_limit_secs: int
    answering_machine_detection: str | UnsetType = UNSET
    answering_machine_detection_config: DetectionConfig | UnsetType = UNSET


class RejectFields(CommandFields, kw_only=True):
    cause: str


class StreamFields(msgspec.Struct, kw_only=True):
    """Stream settings that `dial` and `streaming_start` share. `answer` takes no token.

    `stream_codec` is omitted for G.711, because its default is the codec of the leg. Telnyx
    transcodes hardly anything else ("Stream" page of TeXML). Even if L16 is requested, it may use
    the leg's codec without notice.
    """

    stream_url: str
    stream_auth_token: str
    stream_track: str = "inbound_track"
    stream_bidirectional_mode: str = "rtp"
    """Required for live audio. The default expects mp3 files, and the caller would hear nothing."""
    stream_bidirectional_codec: str
    stream_bidirectional_sampling_rate: int | UnsetType = UNSET
    stream_codec: str | UnsetType = UNSET


class SendDtmfFields(CommandFields, kw_only=True):
    digits: str
    duration_millis: int


class TransferFields(CommandFields, kw_only=True, rename={"from_": "from"}):
    """A blind transfer. `client_state` stays that of the caller's leg."""

    to: str
    from_: str
    timeout_secs: int
    target_leg_client_state: str
    webhook_url: str
    webhook_url_method: str = "POST"
    webhook_retries_policies: dict[str, WebhookRetries] = msgspec.field(
        default_factory=_retry_policies
    )


class DialTargetFields(NewLegFields, kw_only=True, rename={"from_": "from"}):
    connection_id: str
    to: str
    from_: str
    timeout_secs: int
    link_to: str
    """Puts the new leg into the same session as the caller's leg."""


class SpeakFields(CommandFields, kw_only=True):
    payload: str
    voice: str = CARRIER_VOICE


class BridgeFields(CommandFields, kw_only=True):
    call_control_id: str
