"""Commands of Call Control v2 and their refusals: JSON body in, command or ApiError out."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

NUMBER = r"^(\+[1-9]\d{6,14}(,[0-9wW*#]+)?|sips?:\S+@\S+)$"
DIGITS = r"^[0-9A-D*#wW]+$"

PhoneNumber = Annotated[str, Meta(pattern=NUMBER)]
Url = Annotated[str, Meta(max_length=2000)]
Codec = Literal["PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16"]
Track = Literal["inbound_track", "outbound_track", "both_tracks"]
Detection = Literal[
    "disabled",
    "premium",
    "premium_ios_call_screening_detection",
    "detect",
    "detect_beep",
    "detect_words",
    "greeting_end",
]
SamplingRateHz = Literal[8000, 16000, 22050, 24000, 48000]


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    status: int
    code: str
    title: str
    detail: str = ""
    pointer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class CommandBody(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    command_id: str | None = None
    client_state: str | None = None


class NameValue(msgspec.Struct):
    name: str
    value: str


class StreamSettings(CommandBody, kw_only=True):
    stream_url: Url | None = None
    stream_track: Track = "inbound_track"
    stream_codec: Codec | Literal["default"] = "default"
    stream_bidirectional_mode: Literal["mp3", "rtp"] = "mp3"
    stream_bidirectional_codec: Codec = "PCMU"
    stream_bidirectional_sampling_rate: SamplingRateHz = 8000
    stream_bidirectional_target_legs: Literal["opposite", "self", "both"] = "opposite"
    stream_auth_token: Annotated[str, Meta(max_length=4000)] | None = None
    custom_parameters: list[NameValue] = []


class RetryPolicy(msgspec.Struct):
    retries_ms: Annotated[list[int], Meta(max_length=5)]


class DialBody(StreamSettings, kw_only=True):
    connection_id: str
    # PhoneNumber would be more exact, but its pattern in a union with a list crashes msgspec 0.22.
    to: str | list[str]
    from_: PhoneNumber
    from_display_name: Annotated[str, Meta(max_length=128)] | None = None
    timeout_secs: Annotated[int, Meta(ge=5, le=600)] = 30
    time_limit_secs: Annotated[int, Meta(ge=30, le=14400)] = 14400
    retry_on_timeout: bool = True
    answering_machine_detection: Detection = "disabled"
    answering_machine_detection_config: dict[str, int] = {}
    webhook_url: Url | None = None
    webhook_retries_policies: dict[str, RetryPolicy] = {}
    record: Literal["record-from-answer"] | None = None
    link_to: str | None = None

    @property
    def numbers(self) -> list[str]:
        return [self.to] if isinstance(self.to, str) else self.to


class AnswerBody(StreamSettings, kw_only=True):
    webhook_url: Url | None = None
    webhook_retries_policies: dict[str, RetryPolicy] = {}
    record: Literal["record-from-answer"] | None = None


class RejectBody(CommandBody, kw_only=True):
    cause: Literal["CALL_REJECTED", "USER_BUSY", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE"]


class HangupBody(CommandBody, kw_only=True):
    pass


class StreamingStartBody(StreamSettings, kw_only=True):
    stream_url: Url


class StreamingStopBody(CommandBody, kw_only=True):
    stream_id: str | None = None


class TransferBody(CommandBody, kw_only=True):
    to: PhoneNumber
    from_: PhoneNumber | None = None
    target_leg_client_state: str | None = None
    webhook_url: Url | None = None
    webhook_retries_policies: dict[str, RetryPolicy] = {}
    timeout_secs: Annotated[int, Meta(ge=5, le=600)] = 30
    time_limit_secs: Annotated[int, Meta(ge=30, le=14400)] = 14400


class BridgeBody(CommandBody, kw_only=True):
    call_control_id: str


class SendDtmfBody(CommandBody, kw_only=True):
    digits: Annotated[str, Meta(pattern=DIGITS)]
    duration_millis: Annotated[int, Meta(ge=100, le=500)] = 250


class RecordStartBody(CommandBody, kw_only=True):
    channels: Literal["single", "dual"]
    format: Literal["wav", "mp3"]
    max_length: Annotated[int, Meta(ge=0, le=14400)] = 0


class RecordStopBody(CommandBody, kw_only=True):
    recording_id: str | None = None


class PlaybackStartBody(CommandBody, kw_only=True):
    audio_url: Url | None = None
    media_name: str | None = None
    playback_content: str | None = None


class SpeakBody(CommandBody, kw_only=True):
    payload: Annotated[str, Meta(max_length=5000)]
    voice: str


class ClientStateUpdateBody(CommandBody, kw_only=True):
    client_state: str


ACTIONS: Mapping[str, type[CommandBody]] = {
    "answer": AnswerBody,
    "reject": RejectBody,
    "hangup": HangupBody,
    "streaming_start": StreamingStartBody,
    "streaming_stop": StreamingStopBody,
    "transfer": TransferBody,
    "bridge": BridgeBody,
    "send_dtmf": SendDtmfBody,
    "record_start": RecordStartBody,
    "record_stop": RecordStopBody,
    "playback_start": PlaybackStartBody,
    "speak": SpeakBody,
    "client_state_update": ClientStateUpdateBody,
}

NOT_E164 = "Phone number must be in +E164 format"
# Messages of msgspec about a field, and Telnyx's messages for the same ("API error codes").
REFUSALS = (
    ("missing required field", "10004", "Missing required parameter"),
    (f"matching regex {NUMBER!r}", "10016", NOT_E164),
    ("Invalid enum value", "10032", "Value outside of enumeration"),
    ("of length", "10003", "Value too long"),
    ("`int` >=", "10033", "Value outside of range"),
    ("`int` <=", "10033", "Value outside of range"),
    ("", "10015", "Bad request"),
)

Body = TypeVar("Body", bound=CommandBody)


def parse(body: bytes, kind: type[Body]) -> Body:
    try:
        command = msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error
    except msgspec.DecodeError as error:
        raise ApiError(400, "10023", "Invalid JSON", str(error)) from error
    _check_client_state(command.client_state)
    if isinstance(command, StreamSettings):
        _check_stream_url(command.stream_url)
    if isinstance(command, DialBody):
        _check_numbers(command.numbers)
    return command


def _refusal(reason: str) -> ApiError:
    code, title = next((code, title) for part, code, title in REFUSALS if part in reason)
    name = reason.split("`")[1] if code == "10004" else reason.partition("$.")[2].rstrip("`")
    pointer = "/" + name.partition("[")[0].replace(".", "/")
    return ApiError(422, code, title, f"The '{pointer[1:]}' parameter: {reason}", pointer)


def _check_client_state(client_state: str | None) -> None:
    try:
        base64.b64decode(client_state or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(
            422, "90017", "Invalid value for client_state", str(error), "/client_state"
        ) from error


def _check_numbers(numbers: list[str]) -> None:
    if not numbers or not all(re.search(NUMBER, each) for each in numbers):
        raise ApiError(422, "10016", NOT_E164, "The 'to' parameter", "/to")


def _check_stream_url(url: str | None) -> None:
    if url is not None and not url.startswith(("ws://", "wss://")):
        raise ApiError(422, "10015", "Bad request", "stream_url is not ws(s)", "/stream_url")
