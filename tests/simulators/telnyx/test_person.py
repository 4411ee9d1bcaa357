from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from simulators.audio.speech import CLIPS, UNINTELLIGIBLE, Samples, recognise
from simulators.scenario import CallerLine, Scenario
from simulators.telnyx.behaviour import Person
from simulators.telnyx.person import (
    FRAME_MS,
    MAX_LAG_S,
    SILENT_FRAME,
    FrameClock,
    PersonConversation,
)

THINKS_MS = 600
SCENARIO = Scenario(
    name="test",
    greeting="agent_greeting",
    caller=(
        CallerLine("caller_thursday"),
        CallerLine("caller_two_is_fine", interrupt_after_ms=2500),
        CallerLine("caller_goodbye"),
    ),
    replies={
        "caller_thursday": "agent_free_times",
        "caller_two_is_fine": "agent_booked",
        "caller_goodbye": "agent_goodbye",
    },
    fallback="agent_fallback",
)
PERSON = Person(SCENARIO)


def frames(samples: Samples) -> Iterator[Samples]:
    padded = np.pad(samples, (0, -len(samples) % len(SILENT_FRAME)))
    return iter(padded.reshape(-1, len(SILENT_FRAME)))


def silence(milliseconds: int) -> Samples:
    return np.zeros(milliseconds * 8, np.int16)


def new_conversation(person: Person = PERSON) -> PersonConversation:
    return PersonConversation(person, lambda name, detail: None)


class Agent:
    """Says the reply after the person's line, and stops 200 ms after it was interrupted."""

    STOPS_WITHIN_FRAMES = 10

    def __init__(self, conversation: PersonConversation, interruptible: bool = True) -> None:
        self.conversation = conversation
        self.interruptible = interruptible
        self.saying = frames(np.concatenate((silence(500), CLIPS["agent_greeting"].samples)))
        self.heard: list[Samples] = []
        self.listening_frames = 0

    def frame(self) -> Samples:
        return next(self.saying, SILENT_FRAME)

    def hear(self, said: Samples) -> None:
        if said.any():
            self.heard.append(said)
            self.listening_frames += 1
            if self.interruptible and self.listening_frames == self.STOPS_WITHIN_FRAMES:
                self.saying = iter(())
        elif self.heard:
            line = recognise(np.concatenate(self.heard)).clip
            assert line is not None
            reply = CLIPS[SCENARIO.replies[line.name]].samples
            self.saying = frames(np.concatenate((silence(THINKS_MS - FRAME_MS), reply)))
            self.heard, self.listening_frames = [], 0


def run(
    conversation: PersonConversation, agent: Callable[[], Samples], hear: Callable[[Samples], None]
) -> None:
    while conversation.goodbye is None and conversation.now_ms < 120_000:
        hear(conversation.hear(agent()))


def test_a_conversation_with_one_interruption_runs_to_its_goodbye() -> None:
    conversation = new_conversation()
    agent = Agent(conversation)
    run(conversation, agent.frame, agent.hear)
    assert conversation.goodbye == "finished"
    assert conversation.said == ["caller_thursday", "caller_two_is_fine", "caller_goodbye"]
    assert [heard.clip and heard.clip.name for heard in conversation.recognitions] == [
        "agent_greeting",
        "agent_free_times",
        "agent_booked",
        "agent_goodbye",
    ]


def test_the_interrupted_sentence_is_recognised_from_what_was_heard_of_it() -> None:
    conversation = new_conversation()
    agent = Agent(conversation)
    run(conversation, agent.frame, agent.hear)
    [interruption] = conversation.interruptions
    assert interruption.clip == "caller_two_is_fine"
    assert abs(interruption.agent_spoke_ms - 2500) <= 2 * FRAME_MS
    assert abs(interruption.silenced_after_ms - 200) <= 4 * FRAME_MS
    assert 2500 <= conversation.recognitions[1].matched_ms <= 2900


def test_latencies_are_counted_from_the_end_of_the_line_to_the_first_sample() -> None:
    conversation = new_conversation()
    agent = Agent(conversation)
    run(conversation, agent.frame, agent.hear)
    assert conversation.first_audio_ms is not None
    assert abs(conversation.first_audio_ms - 500) <= FRAME_MS
    assert len(conversation.turn_latencies_ms) == 3
    assert all(abs(each - THINKS_MS) <= 6 * FRAME_MS for each in conversation.turn_latencies_ms)


def test_every_agent_clip_is_heard_as_one_utterance() -> None:
    for clip in CLIPS.values():
        conversation = new_conversation(replace(PERSON, scenario=replace(SCENARIO, caller=())))
        for frame in frames(np.concatenate((clip.samples, silence(600)))):
            conversation.hear(frame)
        assert [heard.clip for heard in conversation.recognitions] == [clip]


def test_noise_is_heard_as_unintelligible() -> None:
    conversation = new_conversation()
    noise = np.random.default_rng(1).integers(-8000, 8000, 8000).astype(np.int16)
    for frame in frames(np.concatenate((noise, silence(600)))):
        conversation.hear(frame)
    assert [heard.text for heard in conversation.recognitions] == [UNINTELLIGIBLE]


def test_nobody_waits_for_ever_for_an_agent_that_says_nothing() -> None:
    conversation = new_conversation()
    run(conversation, lambda: SILENT_FRAME, lambda said: None)
    assert conversation.goodbye == "agent_silent"
    assert conversation.now_ms == PERSON.silence_timeout_ms


def test_who_stays_on_the_line_stays_silent_after_the_last_line() -> None:
    person = replace(PERSON, hangs_up=False, scenario=replace(SCENARIO, caller=()))
    conversation = new_conversation(person)
    for frame in frames(np.concatenate((CLIPS["agent_greeting"].samples, silence(20_000)))):
        assert not conversation.hear(frame).any()
    assert conversation.goodbye is None


def test_who_lingers_hangs_up_when_both_have_been_silent_for_long() -> None:
    person = replace(PERSON, lingers_ms=2000, scenario=replace(SCENARIO, caller=()))
    conversation = new_conversation(person)
    greeting, more = CLIPS["agent_greeting"], CLIPS["agent_goodbye"]
    sound = np.concatenate((greeting.samples, silence(1500), more.samples, silence(10_000)))
    spoken_ms = greeting.duration_ms + 1500 + more.duration_ms
    for frame in frames(sound):
        if conversation.goodbye is None:
            conversation.hear(frame)
    assert conversation.goodbye == "finished"
    assert conversation.now_ms == pytest.approx(spoken_ms + 2400, abs=500)


def test_an_agent_that_will_not_be_interrupted_does_not_stall_the_call() -> None:
    conversation = new_conversation()
    agent = Agent(conversation, interruptible=False)
    run(conversation, agent.frame, agent.hear)
    assert conversation.goodbye is not None


def test_a_line_of_keys_is_pressed_in_silence_one_after_the_other() -> None:
    keys = Scenario("keys", "agent_greeting", (CallerLine(digits="12#"),), {}, "agent_fallback")
    conversation = new_conversation(Person(keys))
    pressed: dict[int, str] = {}
    for frame in frames(np.concatenate((CLIPS["agent_greeting"].samples, silence(3000)))):
        assert not conversation.hear(frame).any()
        if key := conversation.take_key():
            pressed[conversation.now_ms] = key
    assert "".join(pressed.values()) == "12#"
    first, *_, last = pressed
    assert last - first == 2 * 240


def test_frames_are_due_every_twenty_milliseconds_however_late_each_was_handled() -> None:
    clock = FrameClock(100.0)
    due = [clock.next_due_s(now) for now in (100.0, 100.03, 100.09, 100.061)]
    assert due == pytest.approx([100.02, 100.04, 100.06, 100.08])


def test_a_person_held_up_by_the_machine_goes_on_later_instead_of_in_a_burst() -> None:
    clock = FrameClock(100.0)
    assert clock.next_due_s(103.0) == pytest.approx(103.0 - MAX_LAG_S)
    assert clock.next_due_s(103.0) == pytest.approx(103.02 - MAX_LAG_S)


def test_other_lines_take_the_place_of_those_of_the_scenario() -> None:
    conversation = new_conversation()
    conversation.change_lines(CallerLine("caller_goodbye"))
    agent = Agent(conversation)
    run(conversation, agent.frame, agent.hear)
    assert conversation.said == ["caller_goodbye"]
