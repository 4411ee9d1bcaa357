"""The records of calls in DynamoDB (docs/lifecycle.md shows their states). Every transition is one
conditional write of a single item. `ports.CallStore` is the writing side."""

import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from phonebridge.call.call import Call, CallStatus, Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.recording import Recording
from phonebridge.call.resume import Resume
from phonebridge.call.tools import Message
from phonebridge.call.turn import Turn
from phonebridge.call.usage import Activity, Charge, ModelUsage, Usage
from phonebridge.call.webhook_delivery import WebhookDelivery
from phonebridge.ports import CallChanged, TimelineEntry
from phonebridge.storage.call_items import (
    StoredClaim,
    StoredConfig,
    StoredLink,
    StoredResume,
    TransferClaim,
    claim_key,
    config_key,
    decode_config,
    encode_config,
    head_key,
    leg_keys,
    notice_key,
    partition_key,
    recording_key,
    resume_key,
    session_key,
)
from phonebridge.storage.cursor import decode_cursor, encode_cursor
from phonebridge.storage.secret_cipher import NO_KEY, SecretCipher
from phonebridge.storage.table import ItemKey, StoredItem, Table
from phonebridge.storage.turn_items import StoredTurns, group_turns, latest_turns, sort_key_of
from phonebridge.timeline import complete_timeline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_SECONDS = 86_400
RECORD_SECONDS = 90 * DAY_SECONDS
LEG_SECONDS = DAY_SECONDS  # a call lasts an hour at most; its last webhooks follow within minutes
IDEMPOTENCY_SECONDS = DAY_SECONDS
RESUME_SECONDS = DAY_SECONDS  # if nobody is left to remove it at the end of the call
TRANSFER_CLAIM_SECONDS = 30  # a container begins a transfer within 20 s, when all has been said
SWEEP_PAGE = 100

# One partition of an index takes 1000 writes a second, and a throttled index throttles the table
# (DynamoDB, "GSI throttling"). Both indexes contain whole heads. A head is below 1 KB, so a copy
# costs one write unit, as its keys alone would, and a list needs no second read. Heartbeats are in
# the items of tasks, which no index contains.
SHARDS = 4
_PLACE = r"\d{13}#[0-9a-f]{8}"
"""The place of a call in an index (`_index_keys`)."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    call: Call
    config: CallConfig
    """Secrets of tools are still encrypted in it."""
    turns: tuple[Turn, ...]
    timeline: tuple[TimelineEntry, ...]
    messages: tuple[Message, ...] = ()
    usages: tuple[ModelUsage, ...] = ()
    charges: tuple[Charge, ...] = ()
    recordings: tuple[Recording, ...] = ()
    webhook_delivery: WebhookDelivery | None = None
    resume: Resume | None = None
    """It is None after the end of the call."""

    @property
    def usage(self) -> Usage:
        return sum((each.usage for each in self.usages), Usage())

    @property
    def activity(self) -> Activity:
        return sum((each.activity for each in self.usages), Activity())


@dataclass(frozen=True, slots=True)
class Page:
    """Calls, newest first. The cursor finds the next page. It is None on the last one."""

    calls: tuple[Call, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The call of an Idempotency-Key, and whether the key came with the same request."""

    call_id: str
    matches: bool


# What stands in the partition of a call, by the beginning of its sort key.
_PARTS: Mapping[str, type] = {
    "META": Call,
    "CONFIG": StoredConfig,
    "RESUME": StoredResume,
    "TURNS": StoredTurns,
    "EV": TimelineEntry,
    "MESSAGE": Message,
    "USAGE": ModelUsage,
    "CHARGE": Charge,
    "RECORDING": Recording,
    "NOTICE": WebhookDelivery,
}


def _ignore(_: str) -> None:
    """Pass over a record that cannot be read."""


class DynamoCallStore:
    def __init__(
        self,
        table_name: str,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
        cipher: SecretCipher = NO_KEY,
    ) -> None:
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms
        self._cipher = cipher

    def create(self, call: Call, config: CallConfig) -> bool:
        """Store a new call. Return False if it exists already. Raises `TooLarge`."""
        sealed = self._seal(config)
        # The head makes the call exist, so it comes last. A crash between the two leaves an unused
        # config, never a call with the default persona.
        self._table.put_if_absent(config_key(call.call_id), sealed, RECORD_SECONDS)
        head = self._table.put_if_absent(
            head_key(call.call_id), call, RECORD_SECONDS, **_index_keys(call)
        )
        return head is call

    def load(self, call_id: str) -> Call | None:
        return self._table.get(head_key(call_id), Call)

    def save(self, call: Call) -> None:
        """Save a changed call. Raises `CallChanged` unless the stored call is its previous
        version."""
        version = call.version - 1
        stored = self._table.put_or_find(
            head_key(call.call_id), call, RECORD_SECONDS, version=version, **_index_keys(call)
        )
        if stored is not call:
            raise CallChanged(call.call_id, version, stored)

    def config(self, call_id: str) -> CallConfig | None:
        """Read the settings with which the call began."""
        return self._open(self._table.get_immutable(config_key(call_id), StoredConfig))

    def latest_config(self, call_id: str) -> CallConfig | None:
        """Read the settings with all updates of the call."""
        return self._open(self._table.get(config_key(call_id), StoredConfig))

    def _open(self, stored: StoredConfig | None) -> CallConfig | None:
        if stored is None:
            return None
        config = decode_config(stored)
        return replace(config, tools=self._cipher.decrypt_tools(config.tools))

    def put_config(self, call_id: str, config: CallConfig) -> None:
        """Store the settings for the streams to come. Raises `TooLarge`."""
        self._table.put(config_key(call_id), self._seal(config), RECORD_SECONDS)

    def _seal(self, config: CallConfig) -> StoredConfig:
        encode_config(config)
        sealed = replace(config, tools=self._cipher.encrypt_tools(config.tools))
        return StoredConfig(msgspec.json.encode(sealed).decode())

    def put_resume(self, call_id: str, resume: Resume) -> None:
        self._table.put(resume_key(call_id), StoredResume.of(resume), RESUME_SECONDS)

    def remove_resume(self, call_id: str) -> None:
        self._table.remove(resume_key(call_id))

    def add_timeline_entry(self, call_id: str, entry: TimelineEntry) -> None:
        key = ItemKey(partition_key(call_id), f"EV#{entry.at_ms:013d}#{entry.entry_id}")
        self._table.put_if_absent(key, entry, RECORD_SECONDS)

    def add_turns(self, turns: Iterable[tuple[str, Turn]]) -> list[tuple[str, Turn]]:
        """Store turns of any calls, and return those that the table did not accept now. Turns of
        one call share an item, because a write unit has room for several."""
        groups = {
            ItemKey(partition_key(call_id), sort_key_of(group, self._now_ms())): (call_id, group)
            for call_id, group in group_turns(turns)
        }
        values = {key: StoredTurns.of(group) for key, (_, group) in groups.items()}
        left = (groups[key] for key in self._table.put_all(values, RECORD_SECONDS))
        return [(call_id, turn) for call_id, group in left for turn in group]

    def add_message(self, call_id: str, message: Message) -> None:
        key = ItemKey(
            partition_key(call_id), f"MESSAGE#{message.stream_number}#{message.number:04d}"
        )
        self._table.put(key, message, RECORD_SECONDS)

    def add_usage(self, call_id: str, usage: ModelUsage) -> None:
        key = ItemKey(partition_key(call_id), f"USAGE#{usage.stream_number:04d}")
        self._table.put(key, usage, RECORD_SECONDS)

    def add_charge(self, call_id: str, charge: Charge) -> None:
        self._table.put(
            ItemKey(partition_key(call_id), f"CHARGE#{charge.leg_id}"), charge, RECORD_SECONDS
        )

    def add_recording(self, call_id: str, recording: Recording) -> Recording:
        """Store a recording. Return the stored one if there is one already."""
        key = recording_key(call_id, recording.recording_id)
        return self._table.put_if_absent(key, recording, RECORD_SECONDS)

    def put_recording(self, call_id: str, recording: Recording) -> None:
        key = recording_key(call_id, recording.recording_id)
        self._table.put(key, recording, RECORD_SECONDS)

    def webhook_delivery(self, call_id: str) -> WebhookDelivery | None:
        return self._table.get(notice_key(call_id), WebhookDelivery)

    def add_webhook_delivery(self, call_id: str, notice: WebhookDelivery) -> None:
        """Store the first notice of a call. A second one changes nothing."""
        self._table.put_if_absent(notice_key(call_id), notice, RECORD_SECONDS)

    def put_webhook_delivery(self, call_id: str, notice: WebhookDelivery) -> None:
        self._table.put(notice_key(call_id), notice, RECORD_SECONDS)

    def link_leg(self, leg: Leg, call_id: str) -> None:
        for key in leg_keys(leg):
            self._table.put(key, StoredLink(call_id), LEG_SECONDS)

    def find_by_leg(self, leg: Leg) -> str | None:
        for key in leg_keys(leg):
            if found := self._table.get_immutable(key, StoredLink):
                return found.call_id
        return None

    def link_session(self, leg: Leg, name: str) -> None:
        if leg.call_session_id:
            self._table.put(session_key(leg), StoredLink(name), LEG_SECONDS)

    def linked_session(self, leg: Leg) -> str | None:
        if not leg.call_session_id:
            return None
        found = self._table.get(session_key(leg), StoredLink)
        return found.call_id if found else None

    def record(self, call_id: str) -> CallRecord | None:
        """Read everything that is known of a call, in one query."""
        found: dict[type, list[Any]] = {kind: [] for kind in _PARTS.values()}
        for stored in self._table.partition(partition_key(call_id)):
            if kind := _PARTS.get(stored.sk.split("#")[0]):
                found[kind].append(stored.read(kind))
        if not found[Call]:
            return None
        return CallRecord(
            call=found[Call][0],
            config=next(map(decode_config, found[StoredConfig]), CallConfig()),
            turns=latest_turns(found[StoredTurns]),
            timeline=complete_timeline(found[Call][0], found[TimelineEntry]),
            messages=tuple(found[Message]),
            usages=tuple(found[ModelUsage]),
            charges=tuple(found[Charge]),
            recordings=tuple(found[Recording]),
            webhook_delivery=next(iter(found[WebhookDelivery]), None),
            resume=next((each.resume for each in found[StoredResume]), None),
        )

    def live(self, cursor: str | None, limit: int) -> Page:
        """List the calls that have not ended, newest first. Raises `InvalidCursor`."""
        calls = self._newest_first("live", "ACTIVE", decode_cursor(cursor, _PLACE), limit + 1)
        return _page("live", (c for c in calls if c.status is not CallStatus.ENDED), limit)

    def ended_on(self, day: str, cursor: str | None, limit: int) -> Page:
        """List the calls that ended on a UTC day (YYYY-MM-DD), latest first. Raises
        `InvalidCursor`."""
        calls = self._newest_first("ended", f"DAY#{day}", decode_cursor(cursor, _PLACE), limit + 1)
        return _page("ended", calls, limit)

    def possibly_live(self, skip: Callable[[str], object] = _ignore) -> Iterator[Call]:
        """Yield every call of which the carrier may still hold a leg, even if the call has ended.
        `skip` gets the key of each record that cannot be read."""
        return self._newest_first("live", "ACTIVE", None, SWEEP_PAGE, skip)

    def claim_transfer(self, call_id: str, number: int) -> bool:
        """Claim an attempt to transfer. Return False if somebody else has just claimed it. The
        claim expires soon: by then the call shows the attempt, or the attempt was dropped."""
        mine = TransferClaim()
        key = ItemKey(partition_key(call_id), f"TRANSFER#{number:04d}")
        return self._table.put_if_absent(key, mine, TRANSFER_CLAIM_SECONDS) is mine

    def find_claim(self, key: str, fingerprint: str) -> Claim | None:
        """Return the claim of an Idempotency-Key, or None for a new key."""
        found = self._table.get(claim_key(key), StoredClaim)
        return Claim(found.call_id, found.fingerprint == fingerprint) if found else None

    def claim_key(self, key: str, fingerprint: str, call_id: str) -> Claim:
        """Let an Idempotency-Key stand for a call, unless it already stands for another."""
        mine = StoredClaim(call_id, fingerprint)
        found = self._table.put_if_absent(claim_key(key), mine, IDEMPOTENCY_SECONDS)
        return Claim(found.call_id, found.fingerprint == fingerprint)

    def _newest_first(
        self,
        index: str,
        prefix: str,
        before: str | None,
        page_size: int,
        skip: Callable[[str], object] = _ignore,
    ) -> Iterator[Call]:
        shards = (
            self._calls(
                self._table.newest_first(index, f"{prefix}#{shard}", before, page_size), skip
            )
            for shard in range(SHARDS)
        )
        return heapq.merge(*shards, key=lambda call: _place(index, call), reverse=True)

    @staticmethod
    def _calls(found: Iterator[StoredItem], skip: Callable[[str], object]) -> Iterator[Call]:
        for stored in found:
            if call := stored.read_or_none(Call):
                yield call
            else:
                skip(stored.pk)


def _index_keys(call: Call) -> dict[str, str]:
    """Return the keys of the indexes that contain the call."""
    # A hash sets calls of one millisecond apart in fewer bytes than the id would take.
    digest = zlib.crc32(call.call_id.encode())
    shard = digest % SHARDS
    keys: dict[str, str] = {}
    if call.may_be_up:
        keys |= {"live": f"ACTIVE#{shard}", "live_at": f"{call.created_at_ms:013d}#{digest:08x}"}
    if call.ended_at_ms is not None:
        day = datetime.fromtimestamp(call.ended_at_ms / 1000, UTC).date()
        keys |= {"ended": f"DAY#{day}#{shard}", "ended_at": f"{call.ended_at_ms:013d}#{digest:08x}"}
    return keys


def _place(index: str, call: Call) -> str:
    return _index_keys(call)[f"{index}_at"]


def _page(index: str, calls: Iterator[Call], limit: int) -> Page:
    found = tuple(islice(calls, limit + 1))
    shown = found[:limit]
    return Page(shown, encode_cursor(_place(index, shown[-1])) if len(found) > limit else None)
