"""The contract of the call store, on a DynamoDB with real sockets and real threads."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from phonebridge.call.call import Call, EndedBy, Fault, Hangup, Leg
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.events import (
    CallAnswered,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    DialAccepted,
    EndRequested,
    MediaAttached,
    MediaReported,
    StreamingFailed,
)
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.turn import Latency, Speaker, Turn
from phonebridge.errors import Conflict, InvalidCursor, TooLarge
from phonebridge.ports import CallChanged, TimelineEntry
from phonebridge.storage.call_items import CONFIG_BYTES_MAX, RESUME_BYTES_MAX, StoredResume
from phonebridge.storage.call_store import (
    IDEMPOTENCY_SECONDS,
    LEG_SECONDS,
    RECORD_SECONDS,
    Claim,
    DynamoCallStore,
    Page,
)
from tests.support.calls import LEG, after, outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000))
DAY_MS = 86_400_000


def dialing(call_id: str = "call-1", created_at_ms: int = 1_000) -> Call:
    return after(outbound_call(call_id, created_at_ms), CallRequested())


def ids(calls: Iterable[Call]) -> list[str]:
    return [call.call_id for call in calls]


def end(store: DynamoCallStore, call: Call, at_ms: int) -> None:
    store.create(call, CallConfig())
    store.save(after(call, CallHungUp(LEG, Hangup("user_busy", "callee", at_ms))))


def every_call(page: Callable[[str | None], Page]) -> list[str]:
    """What somebody sees who follows the cursors to the end."""
    found: list[str] = []
    cursor = None
    while True:
        shown = page(cursor)
        found += ids(shown.calls)
        cursor = shown.cursor
        if cursor is None:
            return found


def test_a_call_is_loaded_as_it_was_created(store: DynamoCallStore) -> None:
    assert store.create(dialing(), CallConfig(voice="cedar"))
    assert store.load("call-1") == dialing()
    assert store.config("call-1") == CallConfig(voice="cedar")


def test_what_was_never_created_is_not_there(store: DynamoCallStore) -> None:
    assert store.load("call-1") is None
    assert store.config("call-1") is None
    assert store.record("call-1") is None


def test_a_call_is_created_once(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig(voice="cedar"))
    assert not store.create(dialing(created_at_ms=2_000), CallConfig(voice="marin"))
    assert store.load("call-1") == dialing()
    assert store.config("call-1") == CallConfig(voice="cedar")


def test_a_config_keeps_all_that_a_user_may_ask_for(store: DynamoCallStore) -> None:
    config = CallConfig(
        instructions="Sprich Deutsch. 😀",
        greeting="Grüß Gott",
        temperature=0.8,
        turn_detection=TurnDetection(threshold=0.65, silence_duration_ms=700),
        idle_timeout_seconds=20,
        idle_prompts=1,
        record=True,
        metadata={"order": "17"},
    )
    store.create(dialing(), config)
    assert store.config("call-1") == config


def test_a_config_beyond_its_limit_creates_nothing(store: DynamoCallStore) -> None:
    room = CONFIG_BYTES_MAX - 1_000
    assert store.create(dialing("call-1"), CallConfig(instructions="x" * room))
    with pytest.raises(TooLarge, match="65536 bytes"):
        store.create(dialing("call-2"), CallConfig(instructions="é" * room))
    assert store.load("call-2") is None
    assert store.config("call-2") is None


LONG_LEG = Leg(f"v3:{'x' * 58}", f"{'l' * 36}", f"{'s' * 36}")


def full_call() -> Call:
    """A call with every attribute at its realistic longest."""
    call = after(
        outbound_call("c0ffee00-0000-4000-8000-000000000000", 1_795_000_000_000),
        CallRequested(),
        DialAccepted(LONG_LEG),
        CallAnswered(LONG_LEG, 1_795_000_005_000),
        MediaAttached(1, "t" * 36, 1_795_000_006_000),
        MediaReported(1),
    )
    return replace(call, changed_at_ms=1_795_003_300_000)


ENDED_AS_ASKED = (
    EndRequested(EndedBy.MAX_DURATION, 1_795_003_299_000),
    CallHungUp(LONG_LEG, Hangup("originator_cancel", "unknown", 1_795_003_300_000)),
)
FAILED_WITH_ITS_LEG_UP = (StreamingFailed(Fault("streaming_failed", "d" * 60, 1_795_003_300_000)),)
FAILED_AND_HUNG_UP = (*FAILED_WITH_ITS_LEG_UP, ENDED_AS_ASKED[-1])


WRITE_UNIT_BYTES = 1_024


def size_of(attributes: Mapping[str, Any]) -> int:
    """Bytes that DynamoDB bills for (Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(len(name) + size_of_value(value) for name, value in attributes.items())


def size_of_value(attribute: Mapping[str, Any]) -> int:
    match attribute:
        case {"N": number}:
            return len(number) // 2 + 2
        case {"M": values}:
            return 3 + len(values) + size_of(values)
    return len(attribute["S"])


@pytest.mark.parametrize("end", [ENDED_AS_ASKED, FAILED_WITH_ITS_LEG_UP, FAILED_AND_HUNG_UP])
def test_a_transition_costs_one_write_unit(
    store: DynamoCallStore, client: "DynamoDBClient", table_name: str, end: tuple[CallEvent, ...]
) -> None:
    call = after(full_call(), *end)
    store.create(call, CallConfig())
    key = {"pk": {"S": f"CALL#{call.call_id}"}, "sk": {"S": "META"}}
    item = client.get_item(TableName=table_name, Key=key)["Item"]
    assert size_of(item) < WRITE_UNIT_BYTES


def test_every_attribute_of_a_call_is_kept(store: DynamoCallStore) -> None:
    call = after(full_call(), *ENDED_AS_ASKED, *FAILED_WITH_ITS_LEG_UP)
    store.create(call, CallConfig())
    assert store.load(call.call_id) == call


def test_the_next_version_is_saved(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig())
    answered = after(dialing(), CallAnswered(LEG, 5_000))
    store.save(answered)
    assert store.load("call-1") == answered


def test_the_slower_of_two_writers_changes_nothing(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig())
    answered = after(dialing(), CallAnswered(LEG, 5_000))
    store.save(answered)
    with pytest.raises(CallChanged) as refused:
        store.save(after(dialing(), HUNG_UP))
    assert refused.value.current == store.load("call-1") == answered


def test_two_writers_of_the_same_thing_are_still_two(store: DynamoCallStore) -> None:
    """Both ask for the same commands, which only one of them may carry out."""
    store.create(dialing(), CallConfig())
    answered = after(dialing(), CallAnswered(LEG, 5_000))
    store.save(answered)
    with pytest.raises(Conflict):
        store.save(answered)


def test_a_call_that_was_never_created_cannot_be_saved(store: DynamoCallStore) -> None:
    with pytest.raises(CallChanged) as refused:
        store.save(after(dialing(), HUNG_UP))
    assert refused.value.current is store.load("call-1") is None


def test_no_increment_is_lost_between_threads(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig())

    def count_up(_: int) -> None:
        while True:
            call = store.load("call-1")
            assert call is not None
            counted = replace(call, changed_at_ms=call.changed_at_ms + 1)
            try:
                store.save(replace(counted, version=call.version + 1))
            except Conflict:
                continue
            return

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count_up, range(32)))
    call = store.load("call-1")
    assert call is not None
    assert call.changed_at_ms == 32


def test_one_of_many_creators_wins(store: DynamoCallStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        created = threads.map(
            lambda n: store.create(dialing(created_at_ms=n), CallConfig()), range(16)
        )
        assert sorted(created) == [False] * 15 + [True]


def test_a_record_holds_turns_and_timeline_in_order(store: DynamoCallStore) -> None:
    hello = Turn(number=1, who=Speaker.AGENT, text="Hello?", started_ms=100, ended_ms=900)
    reply = Turn(
        number=2,
        who=Speaker.CALLER,
        text="Hi.",
        started_ms=1_000,
        ended_ms=1_400,
        interrupted=True,
        latency=Latency(10, 400, 10),
    )
    tenth = replace(reply, number=10)
    answered = TimelineEntry(5_000, "event-2", "call.answered")
    hung_up = TimelineEntry(90_000, "event-1", "call.hangup", "normal_clearing")
    store.create(dialing(), CallConfig(voice="cedar"))
    store.create(dialing("call-2"), CallConfig())
    store.add_timeline_entry("call-1", hung_up)
    store.add_timeline_entry("call-1", answered)
    for turn in (tenth, reply, hello):
        assert store.add_turns([("call-1", turn)]) == []
    record = store.record("call-1")
    assert record is not None
    assert record.call == dialing()
    assert record.config == CallConfig(voice="cedar")
    assert record.turns == (hello, reply, tenth)
    assert record.timeline == (answered, hung_up)


def test_a_record_may_exceed_one_page_of_dynamodb(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig())
    for number in range(1, 8):
        text = str(number) * 200_000
        turn = Turn(number=number, who=Speaker.CALLER, text=text, started_ms=0, ended_ms=1)
        assert store.add_turns([("call-1", turn)]) == []
    record = store.record("call-1")
    assert record is not None
    assert [turn.number for turn in record.turns] == list(range(1, 8))


def test_an_event_is_noted_once(store: DynamoCallStore) -> None:
    store.create(dialing(), CallConfig())
    store.add_timeline_entry("call-1", TimelineEntry(5_000, "event-1", "call.answered"))
    store.add_timeline_entry("call-1", TimelineEntry(5_000, "event-1", "call.answered", "again"))
    store.add_timeline_entry("call-1", TimelineEntry(5_000, "event-2", "streaming.started"))
    record = store.record("call-1")
    assert record is not None
    assert [entry.what for entry in record.timeline] == ["call.answered", "streaming.started"]
    assert record.timeline[0].detail == ""


def test_a_leg_leads_to_its_call_by_either_id(store: DynamoCallStore) -> None:
    store.link_leg(Leg("v3:dialled", "leg-1", "session-1"), "call-1")
    assert store.find_by_leg(Leg("v3:dialled")) == "call-1"
    assert store.find_by_leg(Leg("v3:renamed", "leg-1")) == "call-1"
    assert store.find_by_leg(Leg("v3:other", "leg-2", "session-1")) is None
    assert store.find_by_leg(Leg("")) is None


def test_live_calls_are_listed_newest_first(store: DynamoCallStore) -> None:
    for number in range(1, 24):
        store.create(dialing(f"call-{number}", created_at_ms=number), CallConfig())
    expected = [f"call-{number}" for number in range(23, 0, -1)]
    assert every_call(lambda cursor: store.live(cursor, 5)) == expected
    assert ids(store.live(None, 3).calls) == expected[:3]


def test_the_last_full_page_has_no_cursor(store: DynamoCallStore) -> None:
    for number in range(1, 5):
        store.create(dialing(f"call-{number}"), CallConfig())
    assert store.live(None, 4).cursor is None
    assert store.live(None, 3).cursor is not None
    assert store.ended_on("2026-11-17", None, 4) == Page((), None)


def test_a_call_leaves_the_live_list_when_it_ends(store: DynamoCallStore) -> None:
    store.create(dialing("call-1"), CallConfig())
    end(store, dialing("call-2"), DAY_MS)
    assert ids(store.live(None, 10).calls) == ["call-1"]
    assert ids(store.possibly_live()) == ["call-1"]
    assert ids(store.ended_on("1970-01-02", None, 10).calls) == ["call-2"]


def test_the_sweeper_still_sees_an_ended_call_whose_leg_may_be_up(store: DynamoCallStore) -> None:
    call = after(dialing(), DialAccepted(LEG))
    failed = after(call, CallFailed(Fault("no_media", "nobody came", 60_000)))
    store.create(call, CallConfig())
    store.save(failed)
    assert store.live(None, 10).calls == ()
    assert list(store.possibly_live()) == [failed]
    store.save(after(failed, HUNG_UP))
    assert list(store.possibly_live()) == []


def test_a_page_of_live_calls_is_full_although_ended_ones_stand_between(
    store: DynamoCallStore,
) -> None:
    for number in range(1, 31):
        call = after(dialing(f"call-{number}", number), DialAccepted(LEG))
        store.create(call, CallConfig())
        if number % 3:
            store.save(after(call, CallFailed(Fault("no_media", "nobody came", 60_000))))
    assert ids(store.live(None, 4).calls) == ["call-30", "call-27", "call-24", "call-21"]
    assert len(every_call(lambda cursor: store.live(cursor, 4))) == 10


def test_ended_calls_are_listed_by_their_utc_day(store: DynamoCallStore) -> None:
    for number in range(1, 12):
        end(store, dialing(f"call-{number}"), DAY_MS + number)
    end(store, dialing("day-before"), DAY_MS - 1)
    expected = [f"call-{number}" for number in range(11, 0, -1)]
    assert every_call(lambda cursor: store.ended_on("1970-01-02", cursor, 4)) == expected
    assert ids(store.ended_on("1970-01-01", None, 4).calls) == ["day-before"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "ÄÖ", "%%%", "bm90IG91cnM", "_w"])
def test_a_cursor_that_no_list_gave_is_refused(store: DynamoCallStore, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        store.live(cursor, 10)
    with pytest.raises(InvalidCursor):
        store.ended_on("2026-11-23", cursor, 10)


def test_a_cursor_can_stand_in_a_url(store: DynamoCallStore) -> None:
    for number in range(8):
        store.create(dialing(f"call-{number}", number), CallConfig())
    for limit in range(1, 8):
        cursor = store.live(None, limit).cursor
        assert cursor is not None
        assert cursor.replace("-", "").replace("_", "").isalnum()


def test_an_idempotency_key_stands_for_its_first_call(store: DynamoCallStore) -> None:
    assert store.claim_key("key", "body", "call-1") == Claim("call-1", True)
    assert store.claim_key("key", "body", "call-2") == Claim("call-1", True)
    assert store.claim_key("key", "other body", "call-3") == Claim("call-1", False)
    assert store.claim_key("other key", "body", "call-4") == Claim("call-4", True)


def test_an_idempotency_key_is_free_again_after_its_time(
    store: DynamoCallStore, clock: Clock
) -> None:
    store.claim_key("key", "body", "call-1")
    clock.pass_seconds(IDEMPOTENCY_SECONDS - 1)
    assert store.claim_key("key", "body", "call-2").call_id == "call-1"
    clock.pass_seconds(1)
    assert store.claim_key("key", "body", "call-2") == Claim("call-2", True)


def test_one_of_many_claims_wins(store: DynamoCallStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda n: store.claim_key("key", "body", f"call-{n}"), range(16)))
    assert len({claim.call_id for claim in claims}) == 1


def test_what_has_expired_is_not_there_although_dynamodb_keeps_it(
    store: DynamoCallStore, clock: Clock
) -> None:
    store.create(dialing("call-1"), CallConfig())
    end(store, dialing("call-2"), DAY_MS)
    store.link_leg(LEG, "call-1")
    clock.pass_seconds(LEG_SECONDS)
    assert store.find_by_leg(LEG) is None
    assert store.load("call-1") is not None
    clock.pass_seconds(RECORD_SECONDS - LEG_SECONDS)
    assert store.load("call-1") is None
    assert store.config("call-1") is None
    assert store.record("call-1") is None
    assert store.live(None, 10) == Page((), None)
    assert list(store.possibly_live()) == []
    assert store.ended_on("1970-01-02", None, 10) == Page((), None)


def test_a_record_is_kept_from_its_last_change(store: DynamoCallStore, clock: Clock) -> None:
    store.create(dialing(), CallConfig())
    clock.pass_seconds(RECORD_SECONDS - 1)
    store.save(after(dialing(), HUNG_UP))
    clock.pass_seconds(RECORD_SECONDS - 1)
    assert store.load("call-1") is not None


def test_what_a_new_session_needs_is_kept_until_it_is_removed(store: DynamoCallStore) -> None:
    call = outbound_call()
    store.create(call, CallConfig())
    resume = Resume((PastToolCall("fc-1", "book", "{}", '{"ok": true}', 2),), is_reply_owed=True)
    store.put_resume("call-1", resume)
    record = store.record("call-1")
    assert record
    assert record.resume == resume
    store.remove_resume("call-1")
    record = store.record("call-1")
    assert record
    assert record.resume is None


def test_the_oldest_tool_calls_are_left_out_of_what_is_too_long() -> None:
    calls = tuple(PastToolCall(f"fc-{n}", "look_up", "{}", "x" * 3_000, n) for n in range(4))
    kept = StoredResume.of(Resume(calls))
    assert len(kept.json) <= RESUME_BYTES_MAX
    assert kept.resume.tool_calls == calls[2:]


def test_an_update_of_the_settings_is_kept_for_the_next_stream(store: DynamoCallStore) -> None:
    store.create(outbound_call(), CallConfig())
    store.put_config("call-1", CallConfig(instructions="Be brief."))
    config = store.config("call-1")
    assert config
    assert config.instructions == "Be brief."
