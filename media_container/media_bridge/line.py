"""Between the bridge and the Telnyx media stream: frames become what happened, commands frames."""

import base64

from media_bridge import commands, events
from phonebridge.telnyx import media

PhoneCommand = commands.PlayAudio | commands.MarkPlayback | commands.ClearPlayback

DIGITS = "0123456789ABCD*#"


def heard(text: media.Text) -> events.PhoneEvent | None:
    """None for what a bridge need not know."""
    try:
        frame = media.decode(text)
    except media.MalformedFrame as error:
        return events.FrameUnreadable(str(error))
    match frame:
        case media.Media(chunk):
            inbound = chunk.is_inbound and chunk.payload
            return events.CallerAudio(chunk.payload, chunk.chunk) if inbound else None
        case media.Start(leg):
            return _started(leg)
        case media.Stop():
            return events.StreamStopped()
        case media.Dtmf(key):
            return _pressed(key.digit.upper())
        case media.Error(complaint):
            known = (complaint.title, complaint.detail)
            return events.StreamComplained(": ".join(part for part in known if part))
        case media.Mark(mark):
            return events.MarkReturned(mark.name)
        case media.Connected() | media.Unknown():
            return None


def told(command: PhoneCommand) -> str:
    match command:
        case commands.PlayAudio(payload):
            return media.encode_media(payload)
        case commands.MarkPlayback(name):
            return media.encode_mark(name)
        case commands.ClearPlayback():
            return media.CLEAR


def _pressed(digit: str) -> events.DigitPressed | events.FrameUnreadable:
    known = len(digit) == 1 and digit in DIGITS
    return events.DigitPressed(digit) if known else events.FrameUnreadable("a dtmf of no known key")


def _started(leg: media.StreamedLeg) -> events.StreamStarted:
    return events.StreamStarted(
        call_control_id=leg.call_control_id,
        client_state=_decoded(leg.client_state),
        encoding=leg.media_format.encoding,
        sample_rate_hz=leg.media_format.sample_rate,
    )


def _decoded(client_state: str | None) -> str | None:
    if not client_state:
        return None
    try:
        return base64.b64decode(client_state, validate=True).decode()
    except ValueError:
        return client_state
