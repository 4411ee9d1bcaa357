"""The container's doors: who is let in, who is not, and that nothing was spent on those."""

import asyncio
import base64
import threading
import time
from dataclasses import replace

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from media_bridge.audio import pace_limit
from media_bridge.runtime import pending_sockets, server
from media_bridge.runtime.speech_cache import SpeechCache
from phonebridge import stream_token
from phonebridge.call.call import MAX_STREAM_NUMBER, Call, CallStatus, Fault
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.call.events import CallFailed, MediaAttached
from phonebridge.stream_token import LIFETIME_SECONDS
from simulators.audio.speech import CLIPS
from tests.support.media_phone import SILENCE, Phone
from tests.support.media_plane import (
    MediaPlane,
    StartsPlane,
)
from tests.support.waiting import TIMEOUT_SECONDS, until

SOUND = "input_audio_buffer.append"


async def refused_status(plane: MediaPlane, call: Call, token: str | None) -> int:
    """The HTTP status of an upgrade that is not granted."""
    with pytest.raises(InvalidStatus) as refusal:
        await plane.dial_in(call, token)
    assert refusal.value.response.body
    return refusal.value.response.status_code


def is_untouched(plane: MediaPlane, call: Call) -> bool:
    return plane.record(call).call == call and not plane.model.sessions


async def healthz(plane: MediaPlane) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"http://{plane.address}/healthz")


def forged_token(plane: MediaPlane, call: Call) -> str:
    return stream_token.issue("another secret", call.call_id, 1, plane.now_ms())


def of_another_call(plane: MediaPlane, call: Call) -> str:
    return plane.token(plane.answered())


def expired_token(plane: MediaPlane, call: Call) -> str:
    long_ago = plane.now_ms() - LIFETIME_SECONDS * 1000 - 1000
    return stream_token.issue("stream secret", call.call_id, 1, long_ago)


def not_in_ascii(plane: MediaPlane, call: Call) -> str:
    return f"{plane.token(call)}é"


@pytest.mark.parametrize(
    "token", [forged_token, of_another_call, expired_token, not_in_ascii, lambda *_: "nonsense"]
)
async def test_a_bad_token_opens_nothing(start_plane: StartsPlane, token: object) -> None:
    assert callable(token)
    async with start_plane() as plane:
        call = plane.answered()
        assert await refused_status(plane, call, token(plane, call)) == 401
        assert is_untouched(plane, call)


async def test_the_token_may_come_in_the_first_frame(start_plane: StartsPlane) -> None:
    """A proxy may have taken the header away."""
    async with start_plane() as plane:
        call = plane.answered()
        phone = await plane.dial_in(call, None)
        token = {server.TOKEN_HEADER: plane.token(call)}
        await phone.send({"event": "connected", "version": "1.0.0", "connected": token})
        await phone.start()
        await plane.converse(phone)


@pytest.mark.parametrize(
    "first_frame",
    [
        {"event": "connected", "version": "1.0.0"},
        {"event": "connected", "connected": {server.TOKEN_HEADER: "nonsense"}},
        {"event": "stop", "stop": {}},
        "no frame",
    ],
)
async def test_without_a_token_the_socket_is_closed(
    start_plane: StartsPlane, first_frame: dict[str, object] | str
) -> None:
    async with start_plane() as plane:
        call = plane.answered()
        phone = await plane.dial_in(call, None)
        await phone.send(first_frame)
        assert await phone.closed() == 4401
        assert is_untouched(plane, call)


async def test_who_says_nothing_is_not_waited_for(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TOKEN_TIMEOUT_SECONDS", 0.1)
    async with start_plane() as plane:
        call = plane.answered()
        phone = await plane.dial_in(call, None)
        assert await phone.closed() == 4401
        assert is_untouched(plane, call)


async def test_who_leaves_before_saying_anything_leaves_the_place_free(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        phone = await plane.dial_in(plane.answered(), None)
        await phone.vanish()
        await until(lambda: plane.task.has_room)


async def test_a_token_opens_one_socket(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        assert await refused_status(plane, phone.call, plane.token(phone.call)) == 409
        await plane.converse(phone)
        assert len(plane.model.sessions) == 1


async def test_a_token_opens_one_socket_at_all_containers_together(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = plane.answered()
        elsewhere = MediaAttached(call.stream_number, "task-2", plane.now_ms())
        taken = plane.services.switchboard.apply(call.call_id, elsewhere)
        phone = await plane.dial_in(call, plane.token(call))
        assert await phone.closed() == 1008
        assert is_untouched(plane, taken)


async def test_no_socket_for_a_call_that_never_was(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        unknown = replace(plane.answered(), call_id="call-99")
        phone = await plane.dial_in(unknown, plane.token(unknown))
        assert await phone.closed() == 1008


async def test_no_socket_for_a_call_that_has_ended(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        call = plane.answered()
        fault = Fault("no_media", "", plane.now_ms())
        ended = plane.services.switchboard.apply(call.call_id, CallFailed(fault))
        phone = await plane.dial_in(call, plane.token(call))
        assert await phone.closed() == 1008
        assert is_untouched(plane, ended)


async def test_a_full_container_sends_calls_to_another(start_plane: StartsPlane) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        phone = await plane.greeted()
        call = plane.answered()
        assert await refused_status(plane, call, plane.token(call)) == 503
        assert (await healthz(plane)).status_code == 200
        await plane.converse(phone)


async def test_calls_that_come_at_once_get_no_more_than_the_places_there_are(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(max_calls_per_task=2) as plane:
        calls = [plane.answered() for _ in range(6)]
        arrivals = [plane.dial_in(call, plane.token(call)) for call in calls]
        outcomes = await asyncio.gather(*arrivals, return_exceptions=True)
        assert len([each for each in outcomes if isinstance(each, Phone)]) == 2
        assert {e.response.status_code for e in outcomes if isinstance(e, InvalidStatus)} == {503}


async def test_a_draining_container_sends_calls_to_another(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        await plane.task.drain(0)
        call = plane.answered()
        assert await refused_status(plane, call, plane.token(call)) == 503
        assert (await healthz(plane)).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/media-bridge/",
        "/media-bridge/a",
        "/media-bridge/a/b",
        "/media-bridge/a/0",
        f"/media-bridge/a/{MAX_STREAM_NUMBER + 1}",
        "/media-bridge/a/1/2",
        "/elsewhere",
    ],
)
async def test_there_is_nothing_else(start_plane: StartsPlane, path: str) -> None:
    async with start_plane() as plane:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://{plane.address}{path}", proxy=None)
        assert refusal.value.response.status_code == 404


async def test_a_request_that_is_no_upgrade_takes_no_place_and_no_token(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        call = plane.answered()
        headers = {server.TOKEN_HEADER: plane.token(call)}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
            answer = await http.get(f"http://{plane.address}/media-bridge/{call.call_id}/1")
        assert answer.status_code == 400
        phone = await plane.dial_in(call, plane.token(call))
        await phone.start()
        await phone.hear()


async def test_an_upgrade_may_be_named_beside_other_things(start_plane: StartsPlane) -> None:
    """Some clients and proxies send such a header. Our own test client does not."""
    headers = {
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with start_plane() as plane:
        call = plane.answered()
        url = f"http://{plane.address}/media-bridge/{call.call_id}/1"
        headers[server.TOKEN_HEADER] = plane.token(call)
        async with (
            httpx.AsyncClient(trust_env=False, headers=headers) as http,
            http.stream("GET", url) as answer,
        ):
            assert answer.status_code == 101
        await until(lambda: plane.record(call).call.attached_stream == 1)


@pytest.mark.parametrize("version", [b"12", b"1\xff3", b"\xed\xa0\x80", b""])
async def test_another_version_of_websocket_is_refused_with_the_known_one(
    start_plane: StartsPlane, version: bytes
) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        call = plane.answered()
        head = (
            f"GET /media-bridge/{call.call_id}/1 HTTP/1.1\r\nHost: {plane.address}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"{server.TOKEN_HEADER}: {plane.token(call)}\r\nSec-WebSocket-Version: "
        )
        host, _, port = plane.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + version + b"\r\n\r\n")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer
        phone = await plane.dial_in(call, plane.token(call))
        await phone.start()
        await phone.hear()


async def test_sockets_without_a_token_take_no_slot(start_plane: StartsPlane) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        strangers = [await plane.dial_in(plane.answered(), None) for _ in range(14)]
        phone = await plane.greeted()
        await plane.converse(phone)
        for stranger in strangers:
            await stranger.close()


async def test_sockets_without_a_token_are_few(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_sockets, "MAX_PENDING", 3)
    async with start_plane() as plane:
        strangers = [await plane.dial_in(plane.answered(), None) for _ in range(3)]
        assert await refused_status(plane, plane.answered(), None) == 429
        await plane.greeted()
        await strangers[0].close()
        await until(lambda: opens(plane))


async def opens(plane: MediaPlane) -> bool:
    try:
        await plane.dial_in(plane.answered(), None)
    except InvalidStatus:
        return False
    return True


async def test_a_token_that_comes_when_the_container_is_full_is_refused(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        call = plane.answered()
        late = await plane.dial_in(call, None)
        await plane.greeted()
        token = {server.TOKEN_HEADER: plane.token(call)}
        await late.send({"event": "connected", "version": "1.0.0", "connected": token})
        assert await late.closed() == 1013
        assert plane.record(call).call == call


async def test_a_sender_faster_than_real_time_is_heard_at_its_pace(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token is right. It sends a minute of sound within some seconds."""
    monkeypatch.setattr(pace_limit, "BURST_SECONDS", 2.0)
    async with start_plane() as plane:
        began = time.monotonic()
        phone = await plane.greeted()
        for frame in phone.frames(SILENCE * 60):
            await phone.send(frame)
        await phone.all_read()
        passed_seconds = time.monotonic() - began
        await phone.stop()
        assert await phone.closed() == 1000
        await until(lambda: plane.record(phone.call).activity.frames_in == 3000)
        session = await plane.session(phone.call)
        appended = [f["audio"] for f in session.received if f["type"] == SOUND]
        heard_seconds = sum(len(base64.b64decode(audio)) for audio in appended) / 8000
    assert 2.0 <= heard_seconds <= passed_seconds + 2.0
    lost = plane.record(phone.call).activity.frames_lost
    assert lost == 3000 - round(heard_seconds / 0.02)


class Claim:
    """A call whose claim waits, in the middle, until it is released."""

    def __init__(self, plane: MediaPlane, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._released = threading.Event(), threading.Event()
        self._config = plane.store.config
        monkeypatch.setattr(plane.store, "config", self._hang)

    def _hang(self, call_id: str) -> CallConfig | None:
        self.begun.set()
        self._released.wait(TIMEOUT_SECONDS)
        return self._config(call_id)

    def release(self) -> None:
        self._released.set()


async def test_what_comes_while_a_call_is_claimed_is_not_lost(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        claim = Claim(plane, monkeypatch)
        phone = await plane.streaming()
        await until(claim.begun.is_set)
        await phone.all_read()
        claim.release()
        await plane.converse(phone)


async def test_a_socket_that_closes_while_its_call_is_claimed_is_replaced(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        claim = Claim(plane, monkeypatch)
        phone = await plane.streaming()
        await until(claim.begun.is_set)
        await phone.close()
        claim.release()
        await (await plane.next_stream(phone.call)).hear()


async def test_a_claim_that_was_written_although_its_answer_got_lost_is_kept(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        save = plane.store.save
        answers_lost = [1]

        def save_unheard(call: Call) -> None:
            save(call)
            if answers_lost:
                answers_lost.clear()
                raise ReadTimeoutError(endpoint_url="http://127.0.0.1:9")

        monkeypatch.setattr(plane.store, "save", save_unheard)
        await plane.converse(await plane.streaming())


async def test_a_claim_that_fails_for_no_fault_of_the_caller_closes_the_socket(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        other = await plane.greeted()
        call = plane.answered()
        monkeypatch.setattr(plane.store, "config", lambda call_id: 1 / 0)
        phone = await plane.dial_in(call, plane.token(call))
        assert await phone.closed() == 1011
        assert plane.record(other.call).call.status is CallStatus.STREAMING
        await plane.converse(other)


async def test_a_kept_greeting_that_cannot_be_read_is_made_anew(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    monkeypatch.setattr(SpeechCache, "find_greeting", fail)
    prepared = CallConfig(greeting=CLIPS["agent_fallback"].text, stream_setup=StreamSetup.PREPARED)
    async with start_plane() as plane:
        phone = await plane.streaming(prepared)
        await phone.hear()
        await plane.converse(phone)
