"""Frames of the Telnyx media stream (Telnyx, "Media streaming over WebSockets"), both ways.

Fifty frames a second and call: they are decoded straight into structs, base64 included, and are
passed on as they are.
"""

from binascii import b2a_base64
from collections.abc import Mapping
from typing import get_args

import msgspec

from phonebridge.errors import TelnyxError
from phonebridge.telnyx import tolerant_json

Text = str | bytes | memoryview


class MalformedFrame(TelnyxError):
    """A frame that is not JSON, or not the JSON of the protocol; the message says where."""


class _Frame(msgspec.Struct, frozen=True, gc=False, tag_field="event"):
    """Only what is used is read: a strange value elsewhere costs no frame."""


class _Connection(msgspec.Struct, frozen=True, gc=False):
    auth_token: str | None = msgspec.field(default=None, name="x-telnyx-streaming-auth-token")


class Connected(_Frame, frozen=True, gc=False, tag="connected"):
    """The first frame; `Start` follows when the call is answered."""

    connected: _Connection | None = None

    @property
    def auth_token(self) -> str | None:
        return self.connected.auth_token if self.connected else None


class MediaFormat(msgspec.Struct, frozen=True, gc=False):
    """What Telnyx sends: it follows the phone leg, whatever was asked for the other way."""

    encoding: str
    sample_rate: int = 8000
    channels: int = 1


class StreamedLeg(msgspec.Struct, frozen=True, gc=False):
    call_control_id: str
    media_format: MediaFormat
    call_session_id: str | None = None
    client_state: str | None = None
    """As it was set: base64."""


class Start(_Frame, frozen=True, gc=False, tag="start"):
    start: StreamedLeg
    stream_id: str = ""


INBOUND = ("inbound", "inbound_track")
"""Of tracks; the REST API says `inbound_track` where frames say `inbound`."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Sound of one track: the RTP payload alone, 20 ms in practice. Order is not guaranteed."""

    payload: bytes
    track: str = "inbound"
    chunk: int | None = None
    """Counts from 1. On the wire a decimal string."""


class Media(_Frame, frozen=True, gc=False, tag="media"):
    media: Chunk


class DtmfDigit(msgspec.Struct, frozen=True, gc=False):
    digit: str


class Dtmf(_Frame, frozen=True, gc=False, tag="dtmf"):
    dtmf: DtmfDigit


class MarkName(msgspec.Struct, frozen=True, gc=False):
    name: str


class Mark(_Frame, frozen=True, gc=False, tag="mark"):
    """Ours, come back: played out, or cleared."""

    mark: MarkName


class Stop(_Frame, frozen=True, gc=False, tag="stop"):
    """The stream is over; the socket closes soon, or already has."""


class StreamError(msgspec.Struct, frozen=True, gc=False):
    code: int | None = None
    title: str | None = None
    detail: str | None = None


class ErrorFrame(_Frame, frozen=True, gc=False, tag="error"):
    """Telnyx did not understand a frame of ours."""

    payload: StreamError = StreamError()


class UnknownFrame(msgspec.Struct, frozen=True, gc=False):
    """A kind of frame that came after this was written."""

    event: str


_KnownFrame = Connected | Start | Media | Dtmf | Mark | Stop | ErrorFrame
Frame = _KnownFrame | UnknownFrame

_KINDS: Mapping[object, type[_KnownFrame]] = {
    kind.__struct_config__.tag: kind for kind in get_args(_KnownFrame)
}
_NOT_STRICT: msgspec.json.Decoder[_KnownFrame] = msgspec.json.Decoder(_KnownFrame, strict=False)
"""Takes "4" for 4."""


def decode(text: Text) -> Frame:
    """Raises `MalformedFrame`."""
    try:
        return _NOT_STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        return _decode_tolerantly(text, error)


CLEAR = b'{"event":"clear"}'
"""Stop playing, forget what is queued, and return all marks."""


def encode_media(payload: bytes) -> bytes:
    """`payload` is 20 ms to 30 s of bare codec bytes, without RTP header."""
    return b'{"event":"media","media":{"payload":"%b"}}' % b2a_base64(payload, newline=False)


def encode_mark(name: str) -> bytes:
    """`name` is plain ASCII; it comes back when the media before it has been played or cleared."""
    return b'{"event":"mark","mark":{"name":"%b"}}' % name.encode()


def _decode_tolerantly(text: Text, refusal: Exception) -> Frame:
    """A kind that is not known, or a frame whose optional fields or unread texts are strange."""
    try:
        value = tolerant_json.decode(
            text.encode(errors="surrogatepass") if isinstance(text, str) else bytes(text)
        )
    except ValueError as error:
        raise MalformedFrame(f"Not JSON: {error}") from refusal
    try:
        unknown, _ = tolerant_json.convert(value, UnknownFrame)
        kind = _KINDS.get(unknown.event)
        return tolerant_json.convert(value, kind, strict=False)[0] if kind else unknown
    except msgspec.ValidationError as error:
        raise MalformedFrame(str(error)) from refusal
