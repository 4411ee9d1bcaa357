"""The phone for web pages, with a server that the test plays itself."""

import numpy as np
import pytest
from playwright.async_api import Browser, expect

from simulators.audio import g711
from simulators.audio.speech import CLIPS, Samples, recognise, resample
from tests.console.conftest import SPOKEN
from tests.support.browser import Tab, tab
from tests.support.scripted_calls import MediaSocket, ScriptedServer, scripted_server, tone
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

CLEAR_SECONDS = 0.3
"""Limit for the sound of an interrupted answer that was already on its way to the sound card."""


HERTZ = 440


def loudest_hertz(samples: Samples, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * rate_hz / len(samples))


async def call(opened: Tab, server: ScriptedServer) -> MediaSocket:
    await opened.page.click("#talk")
    return await server.socket()


async def test_both_sides_hear_each_other(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.play(CLIPS["agent_greeting"].samples)
        await socket.send("mark", {"name": "greeted"})
        assert (await socket.frame("mark"))["name"] == "greeted"
        played = await opened.played()
        await until(lambda: recognise(socket.caller_audio()).clip is SPOKEN)
    assert recognise(played.samples, played.rate_hz).clip is CLIPS["agent_greeting"]


async def test_hd_voice_is_little_endian_in_both_directions(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url, microphone="scripted") as opened:
        await opened.page.click("summary:has-text('Sound')")
        await opened.page.select_option("#audio", "l16")
        socket = await call(opened, server)
        await opened.speak(tone(30, HERTZ), 8000)
        greeting = resample(CLIPS["agent_greeting"].samples, 8000, 16000).astype("<i2")
        await socket.play_bytes(greeting.tobytes(), 640)
        await socket.send("mark", {"name": "greeted"})
        await socket.frame("mark")
        played = await opened.played()
        spoken = np.frombuffer(socket.caller_bytes(), "<i2")[-16000:]
    assert abs(loudest_hertz(spoken, 16000) - HERTZ) < 5
    assert server.created[0]["audio"] == "l16"
    media_format = socket.frames("start")[0]["media_format"]
    assert media_format == {"encoding": "L16", "sample_rate": 16000, "channels": 1}
    assert recognise(played.samples, played.rate_hz).clip is CLIPS["agent_greeting"]


async def test_the_token_comes_first_and_frames_are_numbered(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.frame("media", 3)
        await opened.page.click("#talk")
    first, second = socket.received[:2]
    assert (first["event"], first["token"]) == ("connected", "token-1")
    assert second["event"] == "start"
    assert [each["chunk"] for each in socket.frames("media")[:3]] == ["1", "2", "3"]
    assert [each["timestamp"] for each in socket.frames("media")[:3]] == ["20", "40", "60"]


async def test_a_mark_returns_when_the_sound_before_it_was_played(
    browser: Browser, server: ScriptedServer
) -> None:
    """The caller's frames follow the same clock, so they show how long the sound took."""
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.frame("media")
        before = len(socket.frames("media"))
        await socket.play(tone(1))
        await socket.send("mark", {"name": "played"})
        await socket.frame("mark")
    events = [frame["event"] for frame in socket.received]
    assert events[: events.index("mark")].count("media") - before >= 50


async def test_a_mark_without_sound_before_it_returns(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.send("mark", {"name": "nothing"})
        assert (await socket.frame("mark"))["name"] == "nothing"


async def test_after_a_clear_nothing_of_the_answer_is_heard(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.play(tone(5))
        await socket.send("mark", {"name": "the end"})
        await opened.sounds()
        await socket.send("clear")
        assert (await socket.frame("mark"))["name"] == "the end"
        [cleared_at] = (await opened.played()).clears
        await opened.plays_until(cleared_at + 1)
        played = await opened.played()
    assert np.abs(played.between(0, cleared_at)).max() > 1000
    assert not played.between(cleared_at + CLEAR_SECONDS).any()


async def test_what_follows_a_clear_is_heard(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.play(tone(5))
        await opened.sounds()
        await socket.send("clear")
        await socket.play(CLIPS["agent_filler"].samples)
        await socket.send("mark", {"name": "filled"})
        await socket.frame("mark")
        played = await opened.played()
        answer = played.between(played.clears[0] + CLEAR_SECONDS)
    assert recognise(answer, played.rate_hz).clip is CLIPS["agent_filler"]


async def test_a_muted_caller_sends_silence(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url, microphone="scripted") as opened:
        socket = await call(opened, server)
        await opened.page.click("#mute")
        await socket.frame("media", len(socket.frames("media")) + 3)
        begin = len(socket.caller_audio())
        await opened.speak(tone(0.5), 8000)
        await socket.frame("media", begin // 160 + 30)
        assert not np.abs(socket.caller_audio()[begin:]).any()
        await opened.page.click("#mute")
        await opened.speak(tone(0.5), 8000)
        await until(lambda: np.abs(socket.caller_audio()[begin:]).max() > 1000)


async def test_keys_reach_the_server(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await opened.page.click("#keypad-toggle")
        await opened.page.click("#keypad >> text=5")
        await opened.page.keyboard.press("#")
        await socket.frame("dtmf", 2)
        await expect(opened.page.locator("#transcript")).to_contain_text("You pressed 5")
    assert socket.frames("dtmf") == [{"digit": "5"}, {"digit": "#"}]


async def test_hanging_up_tells_the_server(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await opened.page.click("#talk")
        await socket.frame("stop")
        await until(lambda: socket.is_closed)
        await expect(opened.page.locator("#talk-label")).to_have_text("Talk")


async def test_closing_the_tab_hangs_up(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await opened.page.goto("about:blank")
        await socket.frame("stop")


async def test_the_server_hangs_up(browser: Browser, server: ScriptedServer) -> None:
    server.record |= {"reason": "ended_by_agent"}
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.send("state", {"name": "ended", "reason": "ended_by_agent"})
        await socket.close(1000)
        title = opened.page.locator("#summary-title")
        await expect(title).to_have_text("Call ended: the agent hung up")
    assert server.renewed == []


async def test_a_lost_connection_is_replaced_with_a_new_token(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        first = await call(opened, server)
        await first.play(tone(5))
        await opened.sounds()
        await first.close(1011)
        second = await server.socket(2)
        await second.play(CLIPS["agent_filler"].samples)
        await second.send("mark", {"name": "again"})
        await second.frame("mark")
        await expect(opened.page.locator("#state")).to_have_text("Listening")
    assert server.renewed == ["call-1"]
    assert second.received[0]["token"] == "token-2"
    assert second.frames("media")[0]["chunk"] == "1"
    assert first.received[1]["stream_id"] != second.received[1]["stream_id"]


async def test_a_call_goes_on_after_the_server_was_restarted(browser: Browser) -> None:
    async with scripted_server() as server, tab(browser, server.url) as opened:
        await call(opened, server)
        server.stop()
        await expect(opened.page.locator("#state")).to_contain_text("Reconnecting")
        async with scripted_server(server.port) as restarted:
            socket = await restarted.socket()
            await socket.frame("media")
            await expect(opened.page.locator("#state")).to_have_text("Listening")
            await opened.page.click("#talk")
            await socket.frame("stop")


async def test_a_call_that_ended_meanwhile_is_not_continued(
    browser: Browser, server: ScriptedServer
) -> None:
    server.is_over = True
    async with tab(browser, server.url) as opened:
        await (await call(opened, server)).close(1011)
        await expect(opened.page.locator("#summary")).to_be_visible()
    assert len(server.sockets) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [(4401, "the server refused the media token"), (4409, "another page took over the call")],
)
async def test_a_final_refusal_is_explained(
    browser: Browser, server: ScriptedServer, code: int, reason: str
) -> None:
    server.record |= {"status": "streaming"}
    async with tab(browser, server.url) as opened:
        await (await call(opened, server)).close(code)
        await expect(opened.page.locator("#summary-title")).to_contain_text(reason)
    assert server.renewed == []


async def test_unknown_frames_are_ignored(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.send("weather", {"sun": True})
        await socket.send("mark", {"name": "still there"})
        await socket.frame("mark")


async def test_the_codec_agrees_with_g711(browser: Browser, server: ScriptedServer) -> None:
    everything = list(range(-32768, 32768))
    async with tab(browser, server.url) as opened:
        encoded, decoded = await opened.page.evaluate(
            """async (samples) => {
                const { encodePcmu, decodePcmu } = await import("/console/phone.js");
                const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
                return [Array.from(encodePcmu(Int16Array.from(samples))),
                        Array.from(decodePcmu(bytes))];
            }""",
            everything,
        )
    assert bytes(encoded) == g711.MU_LAW.encode(np.array(everything, np.int16))
    assert decoded == g711.MU_LAW.decode(bytes(range(256))).tolist()
