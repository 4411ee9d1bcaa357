"""Questions about the sound of a media stream: frames, clocks, and the byte order of L16.

The person decides the byte order. One beep is sent in one order, two beeps in the other, at a
level whose low byte is zero. In the wrong order such a sound is almost silent. The number of
audible beeps therefore shows the order.
"""

import base64
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

from proving.line import Line
from proving.questions import UNCLEAR, ProviderAnswer
from proving.receiver import Frame, SeenSocket

L16_RATE_HZ = 16_000
BEEP_HZ = 500
BEEP_SECONDS = 0.4
PAUSE_SECONDS = 0.4
BEEP_STEPS = 24
"""Levels of the beep; each is a multiple of 256."""
L16 = {
    "stream_codec": "L16",
    "stream_bidirectional_codec": "L16",
    "stream_bidirectional_sampling_rate": L16_RATE_HZ,
}
BEEP_PROMPT = "After this, press the number of beeps that you hear. Press zero if you hear none."
GAP_SECONDS = 0.2
SHORT_MILLISECONDS = 10
MIN_MEDIA_FRAMES = 20


async def ask_about_frames(line: Line) -> list[ProviderAnswer]:
    """Listen to an idle line for a while."""
    names = ("timestamp_unit", "frame_length", "frames_in_silence")
    if not line.open_sockets():
        await line.fresh_stream()
    socket = next(iter(line.open_sockets()), None)
    if socket is None:
        return [ProviderAnswer(name, UNCLEAR, "no stream was open") for name in names]
    already = len(socket.media)
    await line.pause(line.waits.media)
    received = socket.media[already:]
    if len(received) < MIN_MEDIA_FRAMES:
        return [ProviderAnswer(name, "no_media", f"{len(received)} frames") for name in names]
    return [_timestamp_unit(received), _frame_length(received), _silence(received)]


def _timestamp_unit(received: Sequence[tuple[float, Frame]]) -> ProviderAnswer:
    stamps = [int(frame["media"]["timestamp"]) for _, frame in received]
    step = median(later - earlier for earlier, later in pairwise(stamps))
    unit = {20: "milliseconds", 160: "samples", 320: "samples"}.get(int(step), "other")
    return ProviderAnswer("timestamp_unit", unit, f"step of {step:g}")


def _frame_length(received: Sequence[tuple[float, Frame]]) -> ProviderAnswer:
    sizes = {len(base64.b64decode(frame["media"]["payload"])) for _, frame in received}
    is_usual = sizes <= {160, 640}  # of G.711, and of L16 at 16 kHz
    return ProviderAnswer(
        "frame_length", "20_ms" if is_usual else "other", f"{sorted(sizes)} bytes"
    )


def _silence(received: Sequence[tuple[float, Frame]]) -> ProviderAnswer:
    longest = max(later - earlier for (earlier, _), (later, _) in pairwise(received))
    answer = "gaps" if longest > GAP_SECONDS else "continuous"
    return ProviderAnswer("frames_in_silence", answer, f"longest gap {longest * 1000:.0f} ms")


async def ask_short_chunks(line: Line) -> ProviderAnswer:
    socket = next(iter(line.open_sockets()), None)
    if socket is None:
        return ProviderAnswer("short_chunks", UNCLEAR, "no stream was open")
    silence = base64.b64encode(b"\xff" * (8 * SHORT_MILLISECONDS)).decode()
    await socket.send({"event": "media", "media": {"payload": silence}})
    await socket.send({"event": "mark", "mark": {"name": "after-a-short-chunk"}})
    found = await line.receiver.wait_for(
        lambda: socket.frame("error") or socket.frame("mark"), line.waits.socket
    )
    if found is None:
        return ProviderAnswer("short_chunks", "no_answer")
    if found["event"] == "mark":
        return ProviderAnswer("short_chunks", "accepted")
    return ProviderAnswer(
        "short_chunks", "refused", f"code {(found.get('payload') or {}).get('code')}"
    )


async def ask_l16_24k(line: Line) -> ProviderAnswer:
    reply, socket = await line.fresh_stream(**L16 | {"stream_bidirectional_sampling_rate": 24_000})
    is_open = socket is not None
    return ProviderAnswer(
        "l16_24k", "accepted" if reply.is_ok and is_open else "refused", str(reply)
    )


async def ask_l16(line: Line) -> list[ProviderAnswer]:
    await line.stop_streams()
    await line.say(BEEP_PROMPT)
    reply, socket = await line.start_stream(**L16)
    if socket is None:
        received = ProviderAnswer("l16_order_received", UNCLEAR, "no stream was open")
        return [ProviderAnswer("l16_order", "refused", str(reply)), received]

    async def play() -> None:
        for payload in (beeps(1, ">i2"), beeps(2, "<i2")):
            encoded = base64.b64encode(payload).decode()
            await socket.send({"event": "media", "media": {"payload": encoded}})

    pressed = await line.key_after(play)
    orders = {"0": "neither", "1": "big", "2": "little", "3": "both"}
    sent = ProviderAnswer(
        "l16_order", orders.get(pressed or "", UNCLEAR), f"pressed {pressed or 'nothing'}"
    )
    return [sent, _order_received(socket)]


def beeps(count: int, order: str) -> bytes:
    """Return beeps with pauses between and after them, as L16."""
    at = np.arange(int(L16_RATE_HZ * BEEP_SECONDS)) / L16_RATE_HZ
    levels = np.rint(BEEP_STEPS * np.sin(2 * np.pi * BEEP_HZ * at)).astype(np.int16) * 256
    pause = np.zeros(int(L16_RATE_HZ * PAUSE_SECONDS), np.int16)
    return np.concatenate([levels, pause] * count).astype(order).tobytes()


def _order_received(socket: SeenSocket) -> ProviderAnswer:
    name = "l16_order_received"
    start = socket.frame("start") or {}
    media_format = (start.get("start") or {}).get("media_format") or {}
    if media_format.get("encoding") != "L16":
        return ProviderAnswer(name, "other_codec", str(media_format.get("encoding")))
    payloads = [base64.b64decode(frame["media"]["payload"]) for _, frame in socket.media]
    samples = np.frombuffer(b"".join(payloads)[: sum(map(len, payloads)) // 2 * 2], ">i2")
    big, little = _roughness(samples), _roughness(samples.byteswap())
    if big == little:
        return ProviderAnswer(name, "no_media")
    return ProviderAnswer(
        name, "big" if big < little else "little", f"roughness {big:.0f} and {little:.0f}"
    )


def _roughness(samples: npt.NDArray[np.int16]) -> float:
    """Return how much neighbouring samples differ. In the wrong order the low byte leads, which
    sounds like noise."""
    if len(samples) < 2:
        return 0.0
    return float(np.abs(np.diff(samples.astype(np.int64))).mean())
