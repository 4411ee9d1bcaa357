"""The agent's speech on its way from the model to the caller: the sound and words of each item, and
how much of them was played."""

from collections.abc import Iterable

from media_bridge import events
from media_bridge.audio.converters import Converter, ModelToTelephone, PassThrough
from media_bridge.audio.loudness import Loudness
from media_bridge.commands import (
    AddMessage,
    BridgeCommand,
    ClearPlayback,
    RecordTurn,
    Role,
    TruncateItem,
)
from media_bridge.speech.cancelled_responses import CancelledResponses
from media_bridge.speech.playout import Item, ItemPlayed, ItemTruncated, Playout
from media_bridge.speech.transcript import Record, Transcript
from phonebridge.settings import ModelAudio


class AgentAudio:
    def __init__(self, playout: Playout, model_audio: ModelAudio, transcript: Transcript) -> None:
        self._playout = playout
        self._model_audio = model_audio
        self._transcript = transcript
        self.cancelled = CancelledResponses()
        self.interruptions = 0
        self._recited: set[str] = set()

    def play_recorded(self, item_id: str, words: str, sound: bytes, now: float) -> None:
        """Play a recording in our own codec. The model receives the played part as text."""
        self._recited.add(item_id)
        item = Item(item_id, 0, "", PassThrough(), Loudness(self._playout.codec))
        self._playout.add(item)
        self._playout.feed(item, sound)
        self._playout.finish(item_id)
        duration_ms = len(sound) // self._playout.codec.bytes_per_ms
        item.model_bytes = duration_ms * self._playout.model_bytes_per_ms
        self._transcript.agent_started(item_id, now)
        self._transcript.agent_transcribed(item_id, words)

    def receive_audio(self, event: events.AudioReceived, now: float) -> bool:
        """Take sound of an item. Return whether the item began with it."""
        item = self._playout.item(event.item_id)
        begins = item is None
        item = item or self._begin(event, now)
        self._playout.feed(item, event.audio)
        return begins

    def append(self, event: events.AudioReceived) -> bool:
        """Take sound of an item if so much waits already that no deadline changes. Return False
        otherwise."""
        item = self._playout.item(event.item_id)
        if item is None or not self._playout.is_ahead:
            return False
        self._playout.feed(item, event.audio)
        return True

    def receive_transcript(self, event: events.TranscriptReceived) -> None:
        if self._is_wanted(event):
            self._transcript.agent_said(event.item_id, event.text, event.content_index)

    def read_whole(self, event: events.TranscriptFinished) -> list[BridgeCommand]:
        if not self._is_wanted(event):
            return []
        return [*self._transcript.agent_transcribed(event.item_id, event.text, event.content_index)]

    def read_last(self, event: events.ResponseEnded) -> list[BridgeCommand]:
        """Take the words that a response repeats at its end. No others follow."""
        whole = [command for each in event.transcripts for command in self.read_whole(each)]
        return [*whole, *self._transcript.response_ended(event.response_id)]

    def _is_wanted(self, event: events.TranscriptReceived | events.TranscriptFinished) -> bool:
        """Return whether the words belong on record. Items of a stopped response count only if part
        of them was played."""
        return event.response_id not in self.cancelled or self._transcript.has_begun(event.item_id)

    def is_within_item(self, response_id: str) -> bool:
        """Return whether more sound of an item of that response is to come."""
        items = self._playout.items
        return any(each.response_id == response_id and not each.finished for each in items)

    def stop_response(self, response_id: str) -> None:
        """Drop the audio that may still come of the response. The audio that has come is played to
        its end."""
        self.cancelled.add(response_id)
        for item in self._playout.items:
            if item.response_id == response_id:
                self.cancelled.mark_truncated(response_id, item.item_id)

    def lose_session(self) -> bool:
        """Play everything that was received. The next session gets the played part as text. Return
        whether audio is missing."""
        is_broken = False
        for item in self._playout.items:
            item.is_broken = not item.finished
            is_broken |= item.is_broken
            self._playout.finish(item.item_id)
            self._recited.add(item.item_id)
        return is_broken

    def finish_response(self, response_id: str) -> None:
        for item in self._playout.items:
            if item.response_id == response_id:
                self._playout.finish(item.item_id)

    def drop(self, event: events.AudioReceived) -> list[BridgeCommand]:
        """Drop sound of a stopped response. If an item begins only now, the model is informed that
        none of it was played."""
        if not self.cancelled.mark_truncated(event.response_id, event.item_id):
            return []
        return [TruncateItem(event.item_id, event.content_index, 0)]

    def on_played(self, played: Iterable[ItemPlayed]) -> list[BridgeCommand]:
        """Record the turns that were played completely."""
        commands: list[BridgeCommand] = []
        for each in played:
            if each.item.is_broken:
                commands += self._record_broken(each)
            else:
                commands += self._record_turns(each.item, self._transcript.agent_finished(each))
        return commands

    def _record_broken(self, played: ItemPlayed) -> list[BridgeCommand]:
        """Record an item whose session was lost, because everything that was received of it has
        been played."""
        received_ms = played.item.model_bytes // self._playout.model_bytes_per_ms
        cut = ItemTruncated(played.item, received_ms, received_ms)
        return self._truncate([cut], played.at)

    def stop(self, now: float, cancelled: Iterable[BridgeCommand]) -> list[BridgeCommand]:
        """Stop speaking, in this order: stop the pacer, clear, cancel, truncate. Later deltas are
        dropped."""
        if not self._playout.items:
            return [*cancelled]
        played, cuts = self._playout.clear(now)
        self.interruptions += bool(cuts)
        commands: list[BridgeCommand] = [ClearPlayback(), *cancelled]
        for cut in cuts:
            item = cut.item
            if item.item_id not in self._recited:
                self.cancelled.mark_truncated(item.response_id, item.item_id)
                commands.append(TruncateItem(item.item_id, item.content_index, cut.played_ms))
        return [*commands, *self.on_played(played), *self._truncate(cuts, now)]

    def close(self, now: float) -> list[BridgeCommand]:
        """End all items at their current positions, because the call is over."""
        self._recited.clear()
        played, cuts = self._playout.clear(now)
        return [*self.on_played(played), *self._truncate(cuts, now)]

    def _begin(self, event: events.AudioReceived, now: float) -> Item:
        codec, pcm = self._playout.codec, self._model_audio is ModelAudio.PCM24K
        converter: Converter = ModelToTelephone(codec) if pcm else PassThrough()
        loudness = Loudness(None if pcm else codec)
        item = Item(event.item_id, event.content_index, event.response_id, converter, loudness)
        self._playout.add(item)
        self._transcript.agent_started(item.item_id, now, item.response_id)
        return item

    def _truncate(self, cuts: Iterable[ItemTruncated], now: float) -> list[BridgeCommand]:
        commands: list[BridgeCommand] = []
        for cut in cuts:
            commands += self._record_turns(cut.item, self._transcript.agent_interrupted(cut, now))
        return commands

    def _record_turns(self, item: Item, records: Iterable[Record]) -> list[BridgeCommand]:
        commands: list[BridgeCommand] = []
        for record in records:
            commands.append(record)
            is_new = isinstance(record, RecordTurn) and bool(record.turn.text)
            if is_new and item.item_id in self._recited:
                commands.append(AddMessage(Role.ASSISTANT, record.turn.text))
        return commands
