"""Commands to the wire, and the wire to what happened."""

import base64
import json
from typing import Any

import pytest

from media_bridge import commands, events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import ClipKind, ModelCommand
from media_bridge.openai.protocol import RealtimeProtocol
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Update
from phonebridge.call.tools import BuiltIn, Tools
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio, SessionAck
from tests.support.media_plane import settings
from tests.support.realtime_oracle import check_client


def protocol(config: CallConfig | None = None) -> RealtimeProtocol:
    given = settings(model_audio=ModelAudio.PCM24K)
    return RealtimeProtocol(config or CallConfig(), given, "gpt-realtime-2.1-mini")


def event_of(kind: str, **fields: Any) -> events.ModelEvent | None:
    return protocol().decode(json.dumps({"type": kind, "event_id": "event_1", **fields}))


def end_of_response(**response: Any) -> events.ModelEvent | None:
    return event_of("response.done", response={"id": "resp_1"} | response)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (commands.ConfigureModel(Codec.PCMU), "session.update"),
        (commands.AppendAudio(b"\x01\x02"), "input_audio_buffer.append"),
        (commands.CreateResponse(exact_text="Good morning."), "response.create"),
        (commands.CreateResponse(instructions="Ask whether anybody is there."), "response.create"),
        (commands.AddMessage(commands.Role.USER, "5"), "conversation.item.create"),
        (commands.AddMessage(commands.Role.ASSISTANT, "Hello."), "conversation.item.create"),
        (commands.AddMessage(commands.Role.SYSTEM, "Be brief."), "conversation.item.create"),
        (commands.CreateResponse(), "response.create"),
        (commands.CancelResponse("resp-1"), "response.cancel"),
        (commands.CommitAudio(), "input_audio_buffer.commit"),
        (commands.TruncateItem("item_1", 0, 480), "conversation.item.truncate"),
        (commands.RecordClip(ClipKind.FILLER, "Say this."), "response.create"),
    ],
)
def test_each_command_is_one_valid_event(command: ModelCommand, kind: str) -> None:
    frame = json.loads(protocol().encode(command))
    check_client(frame)
    assert frame["type"] == kind


@pytest.mark.parametrize(
    ("command", "event_id"),
    [
        (commands.ConfigureModel(Codec.PCMU), "configure"),
        (commands.AppendAudio(b"\x01\x02"), "append"),
        (commands.CreateResponse(event_id="response-7"), "response-7"),
        (commands.AddMessage(commands.Role.USER, "5"), "text-user"),
        (commands.SendToolOutput("call_1", "{}"), "output-call_1"),
        (commands.SendToolOutput("c" * 600, "{}"), f"output-{'c' * 505}"),
        (commands.DenyApproval("item_1"), "approval-item_1"),
        (commands.CancelResponse("resp_1"), "cancel-resp_1"),
        (commands.TruncateItem("item_1", 0, 480), "truncate-item_1"),
        (commands.UpdateSession(Update(instructions="Be brief.")), "update-1"),
    ],
)
def test_every_request_names_itself(command: ModelCommand, event_id: str) -> None:
    frame = json.loads(protocol().encode(command))
    check_client(frame)
    assert frame["event_id"] == event_id


@pytest.mark.parametrize(
    ("error", "event_id", "retry_after"),
    [
        ({"event_id": "response-3"}, "response-3", None),
        ({"message": "Please try again in 1.898s."}, None, 1.898),
        ({"message": "Please try again in 20ms."}, None, 0.02),
        ({"retry_after": 7}, None, 7.0),
        ({"retry_after_ms": "250"}, None, 0.25),
        ({"retry_after": {"seconds": 7}}, None, None),
    ],
)
def test_an_error_tells_its_request_and_how_long_to_wait(
    error: dict[str, Any], event_id: str | None, retry_after: float | None
) -> None:
    complaint = event_of("error", error={"code": "rate_limit_exceeded"} | error)
    assert isinstance(complaint, events.ModelErrorReceived)
    assert (complaint.event_id, complaint.retry_after) == (event_id, retry_after)


@pytest.mark.parametrize(
    ("details", "retry_after"),
    [
        ({"error": {"message": "Please try again in 1.898s."}}, 1.898),
        ({"error": {"code": "rate_limit_exceeded", "retry_after": 3}}, 3.0),
        ("Please try again in 2s", 2.0),
        ({"reason": "content_filter"}, None),
        (None, None),
    ],
)
def test_a_response_that_failed_tells_how_long_to_wait(
    details: Any, retry_after: float | None
) -> None:
    event = end_of_response(status="failed", status_details=details)
    assert isinstance(event, events.ResponseEnded)
    assert event.retry_after == retry_after


def test_settings_that_are_refused_by_name_refuse_the_session() -> None:
    error = {"code": "invalid_value", "message": "No.", "event_id": "configure"}
    assert event_of("error", error=error) == events.ModelRefused("invalid_value: No.")


@pytest.mark.parametrize(
    ("kind", "fields", "response_id"),
    [
        ("response.content_part.added", {"response_id": "resp_1"}, "resp_1"),
        ("response.output_text.delta", {"response_id": "resp_1", "delta": "a"}, "resp_1"),
        ("response.function_call_arguments.delta", {"response_id": "resp_1"}, "resp_1"),
        ("response.mcp_call_arguments.delta", {"response_id": "resp_1"}, "resp_1"),
        ("response.mcp_call.in_progress", {"item_id": "item_1"}, None),
        ("response.of_a_later_version", {"response_id": 7}, None),
        ("reasoning.of_a_later_version", {"response_id": "resp_1"}, "resp_1"),
        ("response.output_item.added", {"response_id": "resp_1", "item": {}}, "resp_1"),
    ],
)
def test_whatever_belongs_to_a_response_is_a_sign_of_life(
    kind: str, fields: dict[str, Any], response_id: str | None
) -> None:
    assert event_of(kind, **fields) == events.ResponseProgressed(response_id)


def test_only_a_response_with_words_of_its_own_needs_instructions() -> None:
    for told in (
        commands.CreateResponse(exact_text="Good morning."),
        commands.CreateResponse(instructions="Wave."),
    ):
        with_words = json.loads(protocol().encode(told))
        assert (told.exact_text or told.instructions or "-") in with_words["response"][
            "instructions"
        ]
    assert json.loads(protocol().encode(commands.CreateResponse())) == {"type": "response.create"}


def test_a_clip_is_asked_for_outside_of_the_conversation() -> None:
    record = commands.RecordClip(ClipKind.FILLER, "Say this.")
    assert json.loads(protocol().encode(record)) == {
        "type": "response.create",
        "event_id": "clip-filler",
        "response": {
            "conversation": "none",
            "input": [],
            "instructions": "Say this.",
            "metadata": {"phonebridge_clip": "filler"},
        },
    }
    with_tools = CallConfig(tools=Tools(built_in=(BuiltIn.END_CALL,)))
    assert json.loads(protocol(with_tools).encode(record))["response"]["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("response", "started"),
    [
        ({"metadata": {"phonebridge_clip": "filler"}}, ("filler", False)),
        ({"metadata": {"phonebridge_clip": "filler"}, "conversation_id": None}, ("filler", False)),
        ({"metadata": {"phonebridge_clip": "filler"}, "conversation_id": "c"}, ("filler", True)),
        ({"metadata": {"of": "another client"}, "conversation_id": "c"}, (None, True)),
        ({"metadata": {"phonebridge_clip": 1}}, (None, True)),
        ({"metadata": "filler"}, (None, True)),
        ({"metadata": None}, (None, True)),
        ({}, (None, True)),
    ],
)
def test_a_clip_is_known_by_its_metadata(
    response: dict[str, Any], started: tuple[str | None, bool]
) -> None:
    event = event_of("response.created", response={"id": "resp_1"} | response)
    assert event == events.ResponseStarted("resp_1", *started)


def test_an_error_names_the_request_that_it_refuses() -> None:
    error = {
        "type": "invalid_request_error",
        "code": "c",
        "message": "m",
        "event_id": "clip-filler",
    }
    assert event_of("error", error=error) == events.ModelErrorReceived("c", "m", "clip-filler")


def test_a_server_that_confirms_nothing_is_taken_at_its_word() -> None:
    configure, ready = commands.ConfigureModel(Codec.PCMU), events.ModelReady()
    silent = settings(openai_session_ack=SessionAck.ASSUMED)
    wire = RealtimeProtocol(CallConfig(), silent, "m-1")
    assert wire.implied_event(configure) == ready
    assert wire.implied_event(commands.CreateResponse()) is None
    wire.encode(configure)
    wire.encode(commands.UpdateSession(GERMAN))
    assert isinstance(wire.implied_event(commands.UpdateSession(GERMAN)), events.SettingsUpdated)
    assert "Speak German." in said_by(wire)
    assert protocol().implied_event(configure) is None


def test_the_session_opens_and_is_agreed() -> None:
    wire = protocol()
    assert wire.decode('{"type": "session.created", "session": {}}') == events.ModelConnected()
    update = json.loads(wire.encode(commands.ConfigureModel(Codec.PCMU)))
    agreed = {"type": "session.updated", "session": update["session"] | {"id": "sess_1"}}
    assert wire.decode(json.dumps(agreed)) == events.ModelReady()


def test_a_session_that_does_not_agree_at_first_is_refused() -> None:
    wire = protocol()
    session = json.loads(wire.encode(commands.ConfigureModel(Codec.PCMU)))["session"]
    session["audio"]["output"]["voice"] = "alloy"
    assert wire.decode(update_frame(session)) == events.ModelRefused(
        "session.updated differs in audio.output.voice"
    )


@pytest.mark.parametrize("settings", [{"instructions": "Be rude."}, {"tools": []}])
def test_a_session_that_differs_later_is_told_of_and_not_refused(settings: dict[str, Any]) -> None:
    wire = running()
    [name] = settings
    differs = events.SettingsDiffer(f"session.updated differs in {name}")
    assert wire.decode(update_frame(settings)) == differs
    assert wire.decode(update_frame({})) == events.ModelReady()


@pytest.mark.parametrize(
    "in_force",
    [
        {"type": None, "instructions": None, "output_modalities": None, "audio": None},
        {"audio": {"input": None, "output": None}},
        {
            "audio": {
                "input": {
                    "format": None,
                    "noise_reduction": None,
                    "transcription": {"model": None, "language": None},
                    "turn_detection": {"type": "server_vad", "threshold": None, "eagerness": None},
                },
                "output": {"format": {"type": "audio/pcm", "rate": None}, "voice": None},
            },
            "tools": None,
            "reasoning": None,
            "max_output_tokens": None,
        },
    ],
)
def test_a_server_may_tell_null_where_it_knows_nothing(in_force: dict[str, Any]) -> None:
    """The events of servers that send all fields of the official SDK's types."""
    wire = protocol()
    wire.encode(commands.ConfigureModel(Codec.PCMU))
    updated = {"type": "session.updated", "session": in_force}
    assert wire.decode(json.dumps(updated)) == events.ModelReady()


def test_an_update_that_nobody_asked_for_says_nothing() -> None:
    assert event_of("session.updated", session={}) is None


def test_the_conversation() -> None:
    assert event_of("input_audio_buffer.speech_started", item_id="i", audio_start_ms=1) == (
        events.CallerSpeechStarted("i", 301)
    )
    assert event_of("input_audio_buffer.speech_stopped", item_id="i", audio_end_ms=1) == (
        events.CallerSpeechStopped("i", -499)
    )
    transcription = "conversation.item.input_audio_transcription"
    assert event_of(f"{transcription}.completed", item_id="i", transcript="Hi") == (
        events.CallerTranscribed("i", "Hi")
    )
    assert event_of(f"{transcription}.failed", item_id="i", error={}) == (
        events.CallerTranscribed("i", "")
    )
    assert event_of(f"{transcription}.delta", item_id="i", content_index=0, delta="H") == (
        events.CallerTranscriptReceived("i", "H")
    )
    assert event_of("input_audio_buffer.committed", item_id="i", previous_item_id=None) == (
        events.CallerAudioCommitted("i")
    )
    part = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 1}
    audio = base64.b64encode(b"sound").decode()
    assert event_of("response.output_audio.delta", **part, delta=audio) == (
        events.AudioReceived("r", "i", 1, b"sound")
    )
    assert event_of("response.output_audio_transcript.delta", **part, delta="Hi") == (
        events.TranscriptReceived("r", "i", "Hi", 1)
    )
    assert event_of("response.output_audio_transcript.done", **part, transcript="Hi") == (
        events.TranscriptFinished("r", "i", "Hi", 1)
    )
    assert event_of("response.output_audio.done", **part) == events.AudioFinished("i")
    assert event_of("response.created", response={"id": "r", "status": "in_progress"}) == (
        events.ResponseStarted("r")
    )
    assert event_of("rate_limits.updated", rate_limits=[]) is None


def test_usage_is_counted_with_and_without_its_cached_part() -> None:
    usage: dict[str, Any] = {
        "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    assert end_of_response(status="completed", usage=usage) == events.ResponseEnded(
        "resp_1", "completed", "", Usage(119, 13, 0, 0, 30, 91, responses=1, cache_unknown=1)
    )
    usage["input_token_details"]["cached_tokens_details"] = {"text_tokens": 64, "audio_tokens": 0}
    assert end_of_response(status="completed", usage=usage) == events.ResponseEnded(
        "resp_1", "completed", "", Usage(119, 13, 64, 0, 30, 91, responses=1)
    )
    uncounted = Usage(responses=1, uncounted=1)
    assert end_of_response(usage=None) == events.ResponseEnded("resp_1", "completed", "", uncounted)
    usage["input_token_details"] = {"text_tokens": 119, "cached_tokens": 0}
    assert end_of_response(status="completed", usage=usage) == events.ResponseEnded(
        "resp_1", "completed", "", Usage(119, 0, 0, 0, 30, 91, responses=1)
    )


@pytest.mark.parametrize("usage", ["none", [], {"input_token_details": {"text_tokens": "many"}}])
def test_a_strange_count_does_not_cost_the_end_of_a_response_or_the_callers_words(
    usage: object,
) -> None:
    uncounted = Usage(responses=1, uncounted=1)
    assert end_of_response(usage=usage) == events.ResponseEnded(
        "resp_1", "completed", "", uncounted
    )
    transcribed = "conversation.item.input_audio_transcription.completed"
    assert event_of(transcribed, item_id="i", transcript="Hi there", usage="none") == (
        events.CallerTranscribed("i", "Hi there", Usage())
    )


def test_no_words_are_a_transcript_too() -> None:
    transcribed = "conversation.item.input_audio_transcription.completed"
    assert event_of(transcribed, item_id="i", transcript=None) == (
        events.CallerTranscribed("i", "", Usage())
    )


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {"type": "tokens", "total_tokens": 24, "input_tokens": 16, "output_tokens": 8},
            Usage(transcribed_input=16, transcribed_output=8),
        ),
        ({"type": "duration", "seconds": 1.63}, Usage(transcribed_ms=1630)),
        (None, Usage()),
    ],
)
def test_transcription_is_counted_in_tokens_or_in_time(usage: object, counted: Usage) -> None:
    transcribed = event_of(
        "conversation.item.input_audio_transcription.completed",
        item_id="i",
        transcript="Hi there",
        usage=usage,
    )
    assert transcribed == events.CallerTranscribed("i", "Hi there", counted)


@pytest.mark.parametrize(
    ("details", "detail"),
    [
        (None, ""),
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected"),
        (
            {"type": "failed", "error": {"type": "server_error", "code": "rate_limit_exceeded"}},
            "rate_limit_exceeded",
        ),
        ({"error": {"type": "server_error", "message": "try again"}}, "server_error: try again"),
        ({"error": {"code": 429, "type": None, "message": "try again"}}, "try again"),
        ({"reason": "content_filter", "error": "none"}, "content_filter"),
        ("told in words", "told in words"),
        (["nothing", "we know"], ""),
    ],
)
def test_why_a_response_ended(details: object, detail: str) -> None:
    event = end_of_response(status="failed", status_details=details)
    assert isinstance(event, events.ResponseEnded)
    assert (event.status, event.detail) == ("failed", detail)


@pytest.mark.parametrize(
    ("key", "told"), [("sk-proj-abc*****wxyz", "sk-…"), ("ek_0123456789abcdef", "ek_…")]
)
def test_errors_are_told_without_the_key_they_repeat(key: str, told: str) -> None:
    error = {
        "type": "invalid_request_error",
        "code": "invalid_api_key",
        "message": f"Incorrect API key provided: {key}. Find yours elsewhere.",
    }
    assert event_of("error", error=error) == events.ModelErrorReceived(
        "invalid_api_key", f"Incorrect API key provided: {told}. Find yours elsewhere."
    )


def test_a_reason_that_is_no_utf_8_is_told_as_far_as_it_is() -> None:
    response = b'{"id": "r", "status": "failed", "status_details": "caf\xe9"}'
    event = protocol().decode(b'{"type": "response.done", "response": %b}' % response)
    assert event == events.ResponseEnded("r", "failed", "caf\ufffd", Usage(responses=1))


def test_an_error_without_a_code_is_told_by_its_type() -> None:
    assert event_of("error", error={"type": "server_error", "code": None, "message": None}) == (
        events.ModelErrorReceived("server_error", "")
    )


@pytest.mark.parametrize("noise", ["nonsense", "[]", b"\xff"])
def test_what_is_no_event_is_no_complaint_of_the_model(noise: str | bytes) -> None:
    event = protocol().decode(noise if isinstance(noise, bytes) else noise.encode())
    assert isinstance(event, events.MalformedEventReceived)
    assert event.event_type == ""


def test_an_event_of_no_use_is_told_by_its_type() -> None:
    event = event_of("response.output_audio.delta", response_id="r", item_id="i", delta=7)
    assert isinstance(event, events.MalformedEventReceived)
    assert event.event_type == "response.output_audio.delta"


def test_each_type_of_event_that_had_to_be_repaired_is_told_once() -> None:
    told: list[tuple[str, list[str]]] = []
    wire = protocol()
    wire.on_repair = lambda event_type, absent: told.append((event_type, absent))
    delta = {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i"}
    sound = events.AudioReceived("r", "i", 0, b"sound")
    audio = base64.b64encode(b"sound").decode()
    for _ in range(3):
        event = wire.decode(json.dumps(delta | {"delta": audio, "content_index": None}))
        assert event == sound
    wire.decode(json.dumps({"type": "error", "error": {"code": 7, "message": None}}))
    assert told == [("response.output_audio.delta", ["content_index"]), ("error", ["error.code"])]


def test_events_without_ids_belong_to_the_latest_response() -> None:
    wire = protocol()
    started = wire.decode(json.dumps({"type": "response.created", "response": None}))
    assert isinstance(started, events.ResponseStarted)
    response_id = started.response_id
    assert response_id

    def decode(kind: str, **fields: Any) -> events.ModelEvent | None:
        return wire.decode(json.dumps({"type": kind, "response_id": None, "item_id": 7} | fields))

    audio = base64.b64encode(b"sound").decode()
    sound = decode("response.output_audio.delta", delta=audio)
    assert isinstance(sound, events.AudioReceived)
    assert sound.response_id == response_id
    assert decode("response.output_audio.done") == events.AudioFinished(sound.item_id)
    assert decode("response.output_audio_transcript.delta", delta="Hi") == (
        events.TranscriptReceived(response_id, sound.item_id, "Hi")
    )
    done = wire.decode(json.dumps({"type": "response.done", "response": {"id": 7}}))
    assert isinstance(done, events.ResponseEnded)
    assert (done.response_id, done.status) == (response_id, "completed")


# Settings that change while the session runs.

GERMAN = Update(instructions="Speak German.")
TUNED = Update(turn_detection=TurnDetection("semantic_vad", eagerness="low"))


def running() -> RealtimeProtocol:
    wire = protocol(CallConfig(tools=Tools(built_in=(BuiltIn.END_CALL,))))
    asked = json.loads(wire.encode(commands.ConfigureModel(Codec.PCMU)))
    assert wire.decode(update_frame(asked["session"])) == events.ModelReady()
    return wire


def update_frame(session: dict[str, Any]) -> str:
    return json.dumps({"type": "session.updated", "session": session})


def error_frame(event_id: str | None, **error: str) -> str:
    return json.dumps({"type": "error", "error": {"event_id": event_id} | error})


def propose(wire: RealtimeProtocol, update: Update) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(wire.encode(commands.UpdateSession(update)))
    check_client(frame)
    return frame


def said_by(wire: RealtimeProtocol) -> str:
    frame = json.loads(wire.encode(commands.CreateResponse(exact_text="Guten Tag.")))
    told: str = frame["response"]["instructions"]
    return told


def test_an_update_sends_what_changes_and_nothing_else() -> None:
    assert propose(running(), GERMAN)["session"] == {
        "type": "realtime",
        "instructions": "Speak German.",
    }
    detection = propose(running(), TUNED)["session"]["audio"]["input"]
    assert set(detection) == {"turn_detection"}
    assert detection["turn_detection"]["eagerness"] == "low"
    voice = propose(running(), Update(voice="cedar"))["session"]
    assert voice == {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
    assert propose(running(), Update(tools=Tools()))["session"]["tools"] == []


def test_what_is_said_later_follows_the_instructions_that_were_confirmed() -> None:
    wire = running()
    propose(wire, GERMAN)
    assert "Speak German." not in said_by(wire)
    happened = wire.decode(update_frame({"instructions": "Speak German."}))
    assert isinstance(happened, events.SettingsUpdated)
    assert happened.changed == ("instructions",)
    assert happened.config.instructions == "Speak German."
    assert "Speak German." in said_by(wire)


def test_a_refused_update_leaves_everything_as_it_was() -> None:
    wire = running()
    first, second = propose(wire, GERMAN), propose(wire, TUNED)
    error = error_frame(first["event_id"], code="invalid_value", param="session.instructions")
    assert wire.decode(error) == events.SettingsRefused("invalid_value: session.instructions")
    happened = wire.decode(update_frame(second["session"]))
    assert isinstance(happened, events.SettingsUpdated)
    assert happened.changed == ("turn_detection",)
    assert "Speak German." not in said_by(wire)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "cannot_update_voice", "message": "Cannot update a conversation's voice."},
        {"code": "unknown_parameter", "param": "session.audio.output.speed"},
    ],
)
def test_a_server_need_not_tell_which_event_it_refuses(error: dict[str, str]) -> None:
    wire = running()
    assert isinstance(wire.decode(error_frame(None, **error)), events.ModelErrorReceived)
    propose(wire, GERMAN)
    assert isinstance(wire.decode(error_frame(None, **error)), events.SettingsRefused)


@pytest.mark.parametrize(
    "error",
    [error_frame(None, code="response_cancel_not_active"), error_frame("other", param="session")],
)
def test_the_error_of_another_event_refuses_no_update(error: str) -> None:
    wire = running()
    propose(wire, GERMAN)
    assert isinstance(wire.decode(error), events.ModelErrorReceived)
    happened = wire.decode(update_frame({"instructions": "Speak German."}))
    assert isinstance(happened, events.SettingsUpdated)


def test_an_update_without_changes_asks_whether_the_server_is_there() -> None:
    wire = running()
    asked = propose(wire, Update())
    assert asked == {
        "type": "session.update",
        "event_id": asked["event_id"],
        "session": {"type": "realtime"},
    }
    there = wire.decode(update_frame({"instructions": "whatever it is"}))
    assert isinstance(there, events.SettingsUpdated)
    assert there.changed == ()


def test_a_server_that_refuses_an_update_without_changes_is_there_too() -> None:
    wire = running()
    asked, german = propose(wire, Update()), propose(wire, GERMAN)
    there = wire.decode(error_frame(asked["event_id"], code="invalid_request", message="Empty"))
    assert isinstance(there, events.SettingsUpdated)
    assert there.changed == ()
    happened = wire.decode(update_frame(german["session"]))
    assert isinstance(happened, events.SettingsUpdated)
    assert happened.changed == ("instructions",)


def test_an_update_that_the_server_did_not_take_over_is_no_update() -> None:
    wire = running()
    propose(wire, GERMAN)
    happened = wire.decode(update_frame({"instructions": "You are a helpful assistant."}))
    assert happened == events.SettingsRefused("session.updated differs in instructions")
    assert "Speak German." not in said_by(wire)
