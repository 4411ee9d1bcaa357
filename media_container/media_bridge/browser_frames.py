"""Frames that show a browser the progress of its call. It receives them beside those of Telnyx's
protocol (docs/browser.md)."""

import msgspec

from media_bridge import commands

_encode = msgspec.json.Encoder().encode


def encode(command: commands.BrowserCommand) -> bytes:
    match command:
        case commands.ShowState(state, reason):
            given = {"name": state, "reason": reason} if reason else {"name": state}
            return _encode({"event": "state", "state": given})
        case commands.ShowTranscript():
            return _encode({"event": "transcript", "transcript": command})
        case commands.ShowLatency():
            return _encode({"event": "latency", "latency": command})
        case commands.ShowTool():
            return _encode({"event": "tool", "tool": command})
