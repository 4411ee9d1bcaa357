"""What the container of a later stream needs of the earlier streams."""

from dataclasses import dataclass, replace

from media_bridge.conversation.history import History, history_of
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import Resume
from phonebridge.call.turn import Turn
from phonebridge.storage.call_store import CallRecord

MIN_SECONDS_LEFT = 5
"""A call whose time ran out between two streams still gets its goodbye."""


@dataclass(frozen=True, slots=True)
class Continuation:
    turns: tuple[Turn, ...]
    """The turns of all earlier streams. Each stream numbers its turns from 1 on."""
    resume: Resume
    elapsed_ms: int
    """The time since the start of the first stream."""

    def history(self, config: CallConfig) -> History:
        return history_of(self.turns, self.resume, language=config.language)

    def in_call(self, turn: Turn) -> Turn:
        """Return the turn with times that count from the start of the first stream."""
        if not self.elapsed_ms:
            return turn
        started_ms, ended_ms = turn.started_ms, turn.ended_ms
        return replace(
            turn, started_ms=self.elapsed_ms + started_ms, ended_ms=self.elapsed_ms + ended_ms
        )

    def rest_of(self, config: CallConfig) -> CallConfig:
        """Return the settings for the rest of the call."""
        left = config.max_duration_seconds - self.elapsed_ms // 1000
        return replace(config, max_duration_seconds=max(MIN_SECONDS_LEFT, left))


NOTHING_BEFORE = Continuation((), Resume(), elapsed_ms=0)


def continuation_of(record: CallRecord, now_ms: int) -> Continuation | None:
    """Return the continuation, or None if no earlier stream has carried the call."""
    started_ms = _started_ms(record.call)
    if started_ms is None:
        return None
    return Continuation(
        turns=record.turns,
        resume=record.resume or Resume(),
        elapsed_ms=max(0, now_ms - started_ms),
    )


def _started_ms(call: Call) -> int | None:
    return call.streaming_at_ms if call.attached_stream else None
