"""Writes the records of one call, and sends its commands to the carrier, in order."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from media_bridge import commands, events
from media_bridge.runtime.call_log import CallLog
from media_bridge.runtime.continuation import NOTHING_BEFORE, Continuation
from media_bridge.runtime.hangups import RECORD_TIMEOUT_SECONDS
from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.services import Services
from media_bridge.runtime.write_queue import COMMAND_TIMEOUT_SECONDS, Job, WriteQueue
from phonebridge.call.call import Call, EndedBy, Fault
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallEvent,
    CallFailed,
    DigitsRequested,
    EndRequested,
    LastStreamEnding,
    MediaReported,
    MediaStarted,
)
from phonebridge.call.resume import Resume
from phonebridge.call.steering import TransferFinished
from phonebridge.call.transfer import TransferRequested
from phonebridge.call.usage import Activity, ModelUsage, Usage
from phonebridge.ports import TimelineEntry

SPOKEN_TIMEOUT_SECONDS = 10.0
SECONDS_PER_CHARACTER = 0.08
"""No voice of the carrier speaks more slowly."""
SPOKEN_POLL_SECONDS = 0.5


class CallRecords:
    """The writes and commands of one call. `dispatch` receives events about failed commands."""

    def __init__(
        self,
        call: Call,
        config: CallConfig,
        services: Services,
        log: CallLog,
        dispatch: Callable[[events.SteeringEvent], None],
        on_replaced: Callable[[], object] = lambda: None,
        before: Continuation | None = None,
    ) -> None:
        """`on_replaced` is called when the table shows that another stream carries the call.
        `before` is what the earlier streams have left."""
        self._call = call
        self._config = config
        self._services = services
        self._log = log
        self._dispatch = dispatch
        self._on_replaced = on_replaced
        self._before = before or NOTHING_BEFORE
        self._loop = asyncio.get_running_loop()
        self._queue = WriteQueue(services.log, services.threads, services.pauses)
        self._hangups: set[asyncio.Task[None]] = set()
        self._has_transferred = False
        self._has_saved_resume = self._before.resume != Resume()

    async def write(self) -> None:
        """Write until everything that was added before `close` is done."""
        await self._queue.write()
        await asyncio.gather(*self._hangups)

    def close(self) -> None:
        self._queue.close()

    def discard(self) -> None:
        """Drop unwritten records, because another program has the call now."""
        self._queue.discard()
        self._services.turn_writer.discard(self._call.call_id)
        for task in self._hangups:
            task.cancel()

    def execute(self, command: commands.BackgroundCommand) -> None:
        store, call_id = self._services.store, self._call.call_id
        match command:
            case commands.RecordTurn(turn) | commands.ReviseTurn(turn):
                numbered = turn.on_stream(self._call.attached_stream)
                self._services.turn_writer.add(call_id, self._before.in_call(numbered))
            case commands.RecordMessage(message):
                numbered_message = replace(message, stream_number=self._call.attached_stream)
                add = partial(store.add_message, call_id, numbered_message)
                self._queue.add(Job(add, self._tell(events.MessageLost)))
            case commands.SaveResume() | commands.SaveSettings():
                self._save_for_next_stream(command)
            case commands.AddTimelineEntry(what, detail):
                entry = TimelineEntry(self._services.now_ms(), str(uuid.uuid4()), what, detail)
                self._queue.add(Job(partial(store.add_timeline_entry, call_id, entry)))
            case commands.RecordStart():
                self._queue.add(self._change(MediaStarted(self._services.now_ms())))
            case commands.TransferCall(to, summary, from_):
                self._has_transferred = True
                self._command(TransferRequested(to, from_, summary), TransferFinished)
            case commands.SendDtmf(digits, duration_ms):
                self._command(DigitsRequested(digits, duration_ms), events.DigitsFailed)
            case commands.CacheGreeting() | commands.KeepClip():
                self._cache_speech(command)
            case commands.EndCall(by):
                self._log.write("info", "ending call", by=by)
                self._end(EndRequested(by, self._services.now_ms()))

    def fail(self, reason: str, detail: str, seconds_ago: float) -> None:
        """End the call, whatever the table does."""
        failed_at_ms = self._services.now_ms() - round(seconds_ago * 1000)
        self._end(CallFailed(Fault(reason, detail, failed_at_ms)))

    async def end_last_stream(self) -> None:
        """Note in the record that no other stream follows, and return then. If the table does not
        answer, do not wait, because the caller waits for the carrier's words."""
        job = self._change(LastStreamEnding(self._call.attached_stream))
        self._queue.add_final(job)
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORD_TIMEOUT_SECONDS):
                await job.done.wait()

    async def wait_until_spoken(self, words: str) -> None:
        """Return when the carrier's webhook says that the words were played. Without the webhook,
        return when they must be over."""
        seconds = max(SPOKEN_TIMEOUT_SECONDS, len(words) * SECONDS_PER_CHARACTER)
        ends = self._loop.time() + seconds
        while self._loop.time() < ends:
            if await self._services.threads.run(self._has_spoken):
                return
            await asyncio.sleep(SPOKEN_POLL_SECONDS)

    def _has_spoken(self) -> bool:
        """Look at the record, in a thread."""
        try:
            call = self._services.store.load(self._call.call_id)
        except WRITE_FAILURES:
            return False
        return call is not None and call.spoken_stream >= self._call.attached_stream

    def replace_stream(self) -> None:
        """Ask for the next stream."""
        self._services.rescues.start(self._call.call_id, self._call.attached_stream)

    def add_end(self, by: EndedBy, at_ms: int) -> None:
        """End a call that neither a browser nor a container carries any more."""
        self._queue.add_final(self._change(EndRequested(by, at_ms)))

    async def report(self, activity: Activity, has_started: bool, usage: Usage) -> None:
        """Report the end of the container's part. The turns are written first."""
        await self._services.turn_writer.wait_until_written(self._call.call_id)
        used = ModelUsage(
            self._call.attached_stream,
            self._services.model.name(self._config),
            self._config.transcription.model,
            usage,
            activity,
        )
        add = partial(self._services.store.add_usage, self._call.call_id, used)
        self._queue.add_final(Job(add))
        report = MediaReported(self._call.attached_stream, has_started)
        self._queue.add_final(Job(partial(self._report_media, report)))

    def _report_media(self, report: MediaReported) -> None:
        """Report the end of the stream, in a thread. If the call is not over, start its rescue."""
        services, call_id, number = self._services, self._call.call_id, report.stream_number
        call = services.switchboard.apply(call_id, report, number)
        if call.has_lost_media:
            grace = services.hangup_grace_seconds
            rescue = partial(services.rescues.start, call_id, number, grace)
            self._loop.call_soon_threadsafe(rescue)
        elif call.is_unwanted and self._has_saved_resume:
            services.store.remove_resume(call_id)

    def _end(self, event: EndRequested | CallFailed) -> None:
        job = self._change(event)
        self._queue.add_final(job)
        if not self._has_transferred:  # the leg may carry the caller's talk with somebody else
            hangup = self._loop.create_task(self._services.hangups.ensure(self._call, job.done))
            self._hangups.add(hangup)
            hangup.add_done_callback(self._hangups.discard)

    def _change(self, event: CallEvent) -> Job:
        return Job(partial(self._apply, event))

    def _apply(self, event: CallEvent) -> None:
        """Apply an event, in a thread."""
        number = self._call.attached_stream
        call = self._services.switchboard.apply(self._call.call_id, event, number)
        if call.attached_stream > number:
            self._loop.call_soon_threadsafe(self._on_replaced)

    def _command(self, event: CallEvent, failed: Callable[[str], events.SteeringEvent]) -> None:
        """Queue a command. The carrier's result arrives later by webhook, and from there through
        the mailbox."""
        expires_at = self._loop.time() + COMMAND_TIMEOUT_SECONDS
        apply = self._change(event).run
        self._queue.add(Job(apply, self._tell(failed), expires_at))

    def _tell(self, failed: Callable[[str], events.SteeringEvent]) -> Callable[[str], object]:
        return lambda reason: self._dispatch(failed(reason))

    def _save_for_next_stream(self, command: commands.SaveResume | commands.SaveSettings) -> None:
        store, call_id = self._services.store, self._call.call_id
        match command:
            case commands.SaveResume(resume):
                self._has_saved_resume = True
                self._queue.add(Job(partial(store.put_resume, call_id, resume)))
            case commands.SaveSettings(config):
                # A later stream has a shorter time limit of its own, which is not a setting.
                limit = self._config.max_duration_seconds
                settings = replace(config, max_duration_seconds=limit)
                self._queue.add(Job(partial(store.put_config, call_id, settings)))

    def _cache_speech(self, command: commands.CacheGreeting | commands.KeepClip) -> None:
        """Store recorded speech. It is tried once, because calls work without it."""
        cache = self._services.speech_cache
        match command:
            case commands.CacheGreeting(words, sound):
                store = partial(cache.store_greeting, self._config, words, sound)
            case commands.KeepClip(kind, words, sound):
                store = partial(cache.store_clip, self._config, kind, words, sound)
                self._log.write("info", "clip recorded", kind=kind)
        self._queue.add(Job(store, expires_at=self._loop.time() + COMMAND_TIMEOUT_SECONDS))
