"""Questions about the media streams of a call: a second one, a broken one, and a voice during a
stream."""

import asyncio

from proving.line import Line
from proving.questions import UNCLEAR, ProviderAnswer
from proving.receiver import SeenSocket

SPEAK_PROMPT = "Do you hear this? Then press two."


async def ask_stream_id_in_started(line: Line) -> ProviderAnswer:
    before = len(line.receiver.of_type("streaming.started"))
    reply, _ = await line.fresh_stream()
    if not reply.is_ok:
        return ProviderAnswer("stream_id_in_started", UNCLEAR, f"no stream opened: {reply}")
    started = await line.webhook("streaming.started", line.waits.news, after=before)
    if started is None:
        return ProviderAnswer("stream_id_in_started", "no_webhook")
    return ProviderAnswer(
        "stream_id_in_started", "yes" if started.payload.get("stream_id") else "no"
    )


async def ask_speak_beside_stream(line: Line) -> ProviderAnswer:
    name = "speak_beside_stream"
    if not line.open_sockets():
        return ProviderAnswer(name, UNCLEAR, "no stream was open")
    before = len(line.receiver.of_type("call.speak.started"))
    pressed = len(line.receiver.of_type("call.dtmf.received"))
    reply = await line.speak(SPEAK_PROMPT)
    if not reply.is_ok:
        return ProviderAnswer(name, "refused", str(reply))
    started = await line.webhook("call.speak.started", line.waits.spoken, after=before)
    if started is None:
        return ProviderAnswer(name, "never_started", str(reply))
    key = await line.webhook("call.dtmf.received", line.waits.key, after=pressed)
    detail = "the stream went on" if line.open_sockets() else "the stream ended"
    return ProviderAnswer(name, "heard" if key else "not_heard", detail)


async def ask_second_stream(line: Line) -> ProviderAnswer:
    first = next(iter(line.open_sockets()), None)
    if first is None:
        return ProviderAnswer("second_stream", UNCLEAR, "no stream was open")
    reply, second = await line.start_stream()
    if not reply.is_ok:
        return ProviderAnswer("second_stream", "refused", str(reply))
    if second is None:
        return ProviderAnswer("second_stream", "no_socket", str(reply))
    await line.receiver.wait_for(lambda: first.is_closed or None, line.waits.socket)
    return ProviderAnswer("second_stream", "replaces" if first.is_closed else "both")


async def ask_stop_then_start(line: Line) -> ProviderAnswer:
    sockets = line.open_sockets()
    began = asyncio.get_running_loop().time()
    reply, socket = await line.fresh_stream()
    if not reply.is_ok:
        return ProviderAnswer("stop_then_start", "refused", str(reply))
    if socket is None:
        return ProviderAnswer("stop_then_start", "no_socket", str(reply))
    codes = ", ".join(f"close code {each.close_code}" for each in sockets)
    seconds = asyncio.get_running_loop().time() - began
    return ProviderAnswer("stop_then_start", "works", f"{seconds:.1f} s, {codes}".rstrip(", "))


async def ask_dropped_socket(line: Line) -> ProviderAnswer:
    _, socket = await line.fresh_stream()
    if socket is None:
        return ProviderAnswer("dropped_socket", UNCLEAR, "no stream was open")
    return await _news_after(line, socket, "dropped_socket")


async def ask_closed_socket(line: Line) -> ProviderAnswer:
    _, socket = await line.fresh_stream()
    if socket is None:
        return ProviderAnswer("closed_socket", UNCLEAR, "no stream was open")
    return await _news_after(line, socket, "closed_socket")


async def ask_start_after_drop(line: Line) -> ProviderAnswer:
    for socket in line.open_sockets():
        socket.drop()
    await line.receiver.wait_for(lambda: not line.open_sockets() or None, line.waits.socket)
    first, socket_without_stop = await line.start_stream()
    if socket_without_stop:
        return ProviderAnswer("start_after_drop", "works", str(first))
    second, socket_after_stop = await line.fresh_stream()
    answer = "needs_stop" if socket_after_stop else "never"
    return ProviderAnswer("start_after_drop", answer, f"{first}, then {second}")


async def _news_after(line: Line, socket: SeenSocket, question: str) -> ProviderAnswer:
    """End the socket, and watch for a new one with the same number, and for webhooks."""
    now = asyncio.get_running_loop().time
    kinds = {"streaming.stopped": "stopped", "streaming.failed": "failed"}
    seen_before = len(line.receiver.webhooks)
    ended_at = now()
    if question == "dropped_socket":
        socket.drop()
    else:
        await socket.close()

    def again() -> SeenSocket | None:
        sockets = line.receiver.sockets
        later = sockets[sockets.index(socket) + 1 :]
        return next((each for each in later if each.number == socket.number), None)

    successor = await line.receiver.wait_for(again, line.waits.news)
    webhooks = line.receiver.webhooks[seen_before:]
    news = [(kinds[each.event_type], each.at) for each in webhooks if each.event_type in kinds]
    details = [f"{kind} after {at - ended_at:.1f} s" for kind, at in news]
    if successor:
        same_id = _stream_id(successor) == _stream_id(socket) != ""
        details.append(f"reconnected after {successor.opened_at - ended_at:.1f} s")
        details.append("same stream_id" if same_id else "another stream_id")
        return ProviderAnswer(question, "reconnects", ", ".join(details))
    return ProviderAnswer(question, news[0][0] if news else "nothing", ", ".join(details))


def _stream_id(socket: SeenSocket) -> str:
    start = socket.frame("start")
    return str(start.get("stream_id", "")) if start else ""
