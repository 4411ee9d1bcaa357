"""`make fuzz` in short. What it finds has a test beside the module that was repaired."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

import sweep_calls
from benchmarks.drills.results import ROOT
from benchmarks.fuzz import socket_targets
from benchmarks.fuzz.catalogue import all_targets
from benchmarks.fuzz.control_plane import StrictTable
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.run import Results, chance_of, table
from benchmarks.fuzz.target import Outcome, Play, Tally, Target, play_round
from control_plane.api import live_calls
from control_plane.outcome_webhook import OutcomeWebhooks
from control_plane.recordings import RecordingArchive
from media_bridge.bridge import Bridge
from media_bridge.conversation.conversation import Conversation
from media_bridge.runtime.mailbox_poll import MailboxPoll
from media_bridge.runtime.worker import MediaWorker
from phonebridge import stream_token
from phonebridge.telnyx import webhook

SEED = 11
CODE = ("shared", "functions", "media_container")
CONNECTIONS = ("open_connection(", "PoolManager(", "ws_create_server(", "ws_connect(", "urlopen(")
SOCKETS = {
    "runtime/server": "media socket",
    "runtime/mailbox_poll": "answers to the poll of the mailbox",
    "openai/client": "model socket",
    "http/public_client": "answers of tools",
    "telnyx/client": "answers of Telnyx",
}
OF_AMAZON_OR_OPERATOR = (
    "runtime/draining",
    "observability/tracing",
    "control_plane/jwt_validation",
)
"""The other side is AWS, or a server that the operator runs."""
TARGETS = {target.name: target for target in all_targets()}


def played(target: Target, rounds: int = 1, cpu_seconds: float = 60.0) -> Outcome:
    outcome = Outcome()
    with target.open() as play:
        for number in range(rounds):
            play_round(play, chance_of(SEED, target, number), number, outcome, cpu_seconds)
            if outcome.failures:
                break
    return outcome


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_targets, "CALLS_PER_ROUND", 3)
    monkeypatch.setattr(socket_targets, "DOORS_PER_ROUND", 40)
    monkeypatch.setattr(socket_targets, "TOOLS_PER_ROUND", 40)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_survives_its_first_round(name: str) -> None:
    outcome = played(TARGETS[name])
    assert outcome.failures == []
    assert outcome.inputs > 0


def test_every_handler_has_a_target() -> None:
    handlers = {path.stem for path in (ROOT / "functions").glob("*.py")}
    fuzzed = {target.handler for target in TARGETS.values() if target.handler}
    assert handlers == fuzzed


def test_every_module_that_opens_a_connection_has_a_target() -> None:
    sources = (path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    opening = {
        f"{path.parent.name}/{path.stem}"
        for path in sources
        if any(call in path.read_text() for call in CONNECTIONS)
    }
    assert opening == set(SOCKETS) | set(OF_AMAZON_OR_OPERATOR)
    assert set(SOCKETS.values()) <= set(TARGETS)


def raises(*_: object, **__: object) -> None:
    raise KeyError("planted")


@pytest.mark.parametrize(
    ("name", "owner", "part"),
    [
        ("telnyx frames and bridge", Conversation, "press"),
        ("model events and bridge", Conversation, "on_tool_event"),
        ("webhooks and life of a call", webhook, "_event_id"),
        ("media tokens", stream_token, "_is_decimal"),
        ("API: say", live_calls, "_post"),
        ("webhook handler", StrictTable, "put_item"),
        ("outcome sender", OutcomeWebhooks, "mark_delivered"),
        ("recording copier", RecordingArchive, "_upload"),
        ("sweep", sweep_calls, "sweep_call"),
        ("answers to the poll of the mailbox", MailboxPoll, "_sign"),
        ("media socket", Bridge, "_on_caller_audio"),
        ("door of the media socket", stream_token, "_is_decimal"),
        ("model socket", Bridge, "_on_conversation"),
    ],
)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, owner: object, part: str
) -> None:
    monkeypatch.setattr(owner, part, raises)
    assert played(TARGETS[name], rounds=4).failures


def test_a_call_that_keeps_its_slot_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MediaWorker, "free_slot", lambda *_: None)
    monkeypatch.setattr("benchmarks.fuzz.container.END_SECONDS", 0.2)
    (failure,) = played(TARGETS["media socket"]).failures
    assert "keeps its slot" in failure.error


def target_of(play: Play) -> Target:
    @contextmanager
    def open_target() -> Iterator[Play]:
        yield play

    return Target("planted", 10, open_target)


def hang(chance: Random, tally: Tally) -> None:
    while True:
        tally.inputs += 1


def keep_silent(chance: Random, tally: Tally) -> None:
    pass


@pytest.mark.parametrize(
    ("play", "error"), [(hang, "does not end"), (keep_silent, "gave its reader nothing")]
)
def test_a_round_that_hangs_or_does_nothing_is_a_failure(
    play: Callable[[Random, Tally], None], error: str
) -> None:
    (failure,) = played(target_of(play), cpu_seconds=0.05).failures
    assert error in failure.error


def test_a_seed_repeats_its_inputs() -> None:
    def inputs() -> list[bytes]:
        mutator = Mutator(Random(SEED), [b'{"a":[1,{"b":"c"}]}', b"no JSON"])
        return [mutator.mutate(mutator.sample()) for _ in range(500)]

    assert inputs() == inputs()
    assert len(set(inputs())) > 300


def test_the_table_shows_what_is_left() -> None:
    target = Target("planted", 1_000, lambda: target_of(hang).open())
    results = Results("code", SEED, {"planted": Outcome(inputs=400, refused=30, seconds=2.0)})
    assert [*table([target], results)][-1] == ("| planted | 400 of 1,000 | 30 | 0 | 0.0 MB | 2 |")
