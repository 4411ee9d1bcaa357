"""The pure core under fuzzed input: whole calls, whose phone, model and mailbox misbehave."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import msgspec

from benchmarks.drills.table_in_memory import TableInMemory
from benchmarks.fuzz import model_server, phone_frames
from benchmarks.fuzz.fuzzed_call import PAUSES_SECONDS, FuzzedCall, Mutators
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.settings import TABLE, media_settings
from benchmarks.fuzz.target import Play, Tally, Target
from media_bridge.bridge import Bridge
from media_bridge.browser_bridge import BrowserBridge
from media_bridge.commands import ClipKind
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.conversation.history import history_of
from media_bridge.speech.clips import SpeechClip, SpeechClips
from phonebridge.call.call import Call, Direction, Leg
from phonebridge.call.config import BrowserEvent, CallConfig, Fallback, StreamSetup
from phonebridge.call.machine_detection import Detection, MachineDetection, OnMachine
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.steering import (
    Answered,
    Interrupt,
    MachineAnswered,
    Mute,
    Say,
    SayGoodbye,
    Side,
    StartTransfer,
    Steering,
    TransferFinished,
    Update,
)
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, Tools
from phonebridge.call.turn import Speaker, Turn
from phonebridge.settings import MediaSettings, ModelAudio
from phonebridge.storage.mailbox import DynamoMailbox, Posted

EVENTS_PER_CALL = 120

Step = Callable[[FuzzedCall, Random], object]

_LEG = Leg(phone_frames.CONTROL_ID, "leg-1", "session-1")
_CALL = Call(
    call_id=phone_frames.CALL_ID,
    direction=Direction.OUTBOUND,
    to="+15550100",
    from_="+15550199",
    created_at_ms=1_000,
    leg=_LEG,
    stream_number=1,
    attached_stream=1,
)
_TOOLS = Tools(
    functions=(HttpsFunction(name="book", url="https://tools.example/book", filler="One moment."),),
    built_in=tuple(BuiltIn),
    destinations=(Destination("office", "+15550142", warm=True),),
)
_TURNS = (
    Turn(number=1, who=Speaker.AGENT, text="Hello!", started_ms=0, ended_ms=900),
    Turn(number=2, who=Speaker.CALLER, text="When?", started_ms=1_000, ended_ms=1_900),
)
_RESUME = Resume((PastToolCall("call-0", "book", "{}", None, 2),), "We are", is_reply_owed=True)
_STEERING: Sequence[Steering] = (
    Interrupt(),
    Say(words="Your table is ready.", interrupt=True),
    Say(instruction="Ask for the name."),
    Update(instructions="Be brief.", voice="cedar"),
    Mute(Side.AGENT, True),
    Mute(Side.CALLER, True),
    Mute(Side.AGENT, False),
    StartTransfer(to="+15550142", summary="A caller.", words="I connect you."),
    SayGoodbye("Goodbye!"),
    Answered(),
    MachineAnswered(greeting_over=True),
    TransferFinished("busy"),
    TransferFinished(None),
)


def targets() -> tuple[Target, ...]:
    return (
        Target("telnyx frames and bridge", 300_000, partial(_calls, _of_phone)),
        Target("model events and bridge", 300_000, partial(_calls, _of_model)),
        Target("browser frames and bridge", 50_000, partial(_calls, _of_browser)),
        Target("mailbox messages and bridge", 50_000, partial(_calls, _of_mailbox)),
    )


@contextmanager
def _calls(play: Callable[[Random, Tally, MediaSettings], None]) -> Iterator[Play]:
    audio = {each: media_settings(MODEL_AUDIO=each.value) for each in ModelAudio}
    yield lambda chance, tally: play(chance, tally, audio[chance.choice(list(ModelAudio))])


def _of_phone(chance: Random, tally: Tally, settings: MediaSettings) -> None:
    call = _new_call(chance, tally, settings, is_browser=False)
    _play(call, chance, partial(_step, phone=0.35, model=0.02, frames=0.7))


def _of_model(chance: Random, tally: Tally, settings: MediaSettings) -> None:
    call = _new_call(chance, tally, settings, is_browser=False)
    _play(call, chance, partial(_step, phone=0.01, model=0.3, frames=0.15))


def _of_browser(chance: Random, tally: Tally, settings: MediaSettings) -> None:
    call = _new_call(chance, tally, settings, is_browser=True)
    _play(call, chance, partial(_step, phone=0.2, model=0.1, frames=0.5))


def _of_mailbox(chance: Random, tally: Tally, settings: MediaSettings) -> None:
    call = _new_call(chance, tally, settings, is_browser=chance.random() < 0.2)
    _play(call, chance, partial(_steering_step, tally=tally))


def _play(call: FuzzedCall, chance: Random, step: Step) -> None:
    encoding, rate = ("L16", 16_000) if chance.random() < 0.2 else ("PCMU", 8_000)
    if chance.random() < 0.97:
        call.receive_frame(phone_frames.start(encoding, rate))
    for _ in range(EVENTS_PER_CALL):
        if call.has_left:
            break
        step(call, chance)
        call.wait(chance.choice(PAUSES_SECONDS) if chance.random() < 0.5 else 0.005)
    call.end()


def _step(call: FuzzedCall, chance: Random, *, phone: float, model: float, frames: float) -> None:
    luck = chance.random()
    if luck < 0.005:
        call.lose_model()
    elif luck < 0.03:
        call.return_tool()
    elif luck < 0.03 + frames:
        call.frame(phone)
    else:
        call.model_event(model)


def _steering_step(call: FuzzedCall, chance: Random, tally: Tally) -> None:
    if chance.random() < 0.5:
        _step(call, chance, phone=0.0, model=0.0, frames=0.3)
        return
    command = chance.choice(_STEERING)
    mutator = Mutator(chance, [msgspec.json.encode(each) for each in _STEERING])
    arguments = msgspec.json.encode(command)
    if chance.random() < 0.6:
        arguments = mutator.mutate(arguments)
    tally.count(arguments)
    collected = _collect(type(command).__name__, arguments.decode(errors="replace"))
    tally.refused += not collected
    for posted in collected:
        call.handle(posted.command)


def _collect(command: str, arguments: str) -> list[Posted]:
    """Read what another version of the control plane may have put into the mailbox."""
    table: Any = TableInMemory(lambda: 0.0, lambda: None)
    values = {"pk": "TASK#task-1", "sk": "CMD#1", "call_id": phone_frames.CALL_ID}
    values |= {"command": command, "arguments": arguments}
    table.put_item(Item={name: {"S": value} for name, value in values.items()})
    return DynamoMailbox(TABLE, table, lambda: 0).collect("task-1")


def _new_call(
    chance: Random, tally: Tally, settings: MediaSettings, *, is_browser: bool
) -> FuzzedCall:
    config = _config(chance, is_browser)
    sound = b"\x22" * 8_000
    clip = SpeechClip("One moment.", sound)
    clips = chance.choice((SpeechClips(), SpeechClips(filler=clip, apology=clip)))
    missing = (ClipKind.FILLER, ClipKind.APOLOGY) if chance.random() < 0.3 else ()
    greeting = CachedGreeting("Hello!", sound) if chance.random() < 0.2 else None
    history = history_of(_TURNS, _RESUME, language=None) if chance.random() < 0.2 else None
    kind = BrowserBridge if is_browser else Bridge
    audio, call = settings.model_audio, _call(chance, is_browser)
    bridge = kind(call, config, audio, 0.0, greeting, clips, missing, history)
    mutators = Mutators(
        Mutator(chance, phone_frames.SAMPLES), Mutator(chance, model_server.samples())
    )
    return FuzzedCall(bridge, config, settings, chance, mutators, tally)


def _call(chance: Random, is_browser: bool) -> Call:
    if is_browser:
        return replace(_CALL, direction=Direction.BROWSER, leg=None)
    detection = Detection(OnMachine.LEAVE_MESSAGE) if chance.random() < 0.1 else None
    return replace(_CALL, has_early_stream=chance.random() < 0.2, detection=detection)


def _config(chance: Random, is_browser: bool) -> CallConfig:
    return CallConfig(
        greeting=chance.choice((None, "Good morning!")),
        language=chance.choice((None, "de")),
        codec=chance.choice(("PCMU", "PCMU", "PCMA", "L16")),
        max_duration_seconds=chance.choice((30, 1_800)),
        idle_timeout_seconds=chance.choice((None, 5)),
        barge_in_min_ms=chance.choice((0, 300)),
        machine_detection=chance.choice((None, MachineDetection(OnMachine.LEAVE_MESSAGE))),
        tools=_TOOLS if chance.random() < 0.7 else Tools(),
        stream_setup=chance.choice(tuple(StreamSetup)),
        fallback=chance.choice((None, Fallback(say="Sorry.", transfer_to="+15550142"))),
        events=tuple(BrowserEvent) if is_browser else (),
    )
