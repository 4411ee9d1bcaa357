"""The load generator. It plays the caller and the model of every call in one process, so that one
clock times both ends.

It reads a `Job` from stdin and writes `Figures` to stdout. It is one thread with one poll and one
heap of deadlines. The target of run.py runs on another core.
"""

import gc
import heapq
import os
import select
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from statistics import median
from urllib.parse import urlsplit

import msgspec

from benchmarks.media.figures import Figures, Job, Ticket, delays
from benchmarks.media.load_call import Caller, Measured, ModelSession
from benchmarks.media.model_script import TURN_MS, script
from benchmarks.media.process import Usage, usage
from benchmarks.media.rfc6455 import WebSocket

SETUP_SECONDS = 15.0
"""Longest time from the media socket of a call to its model session."""
SETTLE_SECONDS = TURN_MS / 1000
"""Time until every call is in conversation."""
GOODBYE_SECONDS = 1.5


class Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._script = script(job.audio)
        self._poll = select.epoll()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._ends: dict[int, Caller | ModelSession] = {}
        self._measured = Measured()
        self._callers: list[Caller] = []
        self._models: list[ModelSession] = []
        self._ready = 0
        self._tls = _server_context(job.certificate) if job.certificate else None
        self._door = socket.create_server(("127.0.0.1", job.model_port), backlog=1024)
        self._door.setblocking(False)
        self._poll.register(self._door, select.EPOLLIN)

    def run(self) -> Figures:
        idle = usage(self._job.pid)
        for number, ticket in enumerate(self._job.tickets):
            self._set_up(number, ticket)
        self._until(time.perf_counter() + SETTLE_SECONDS)
        gc.collect()
        gc.freeze()
        if self._job.fault_pid is not None:
            os.kill(self._job.fault_pid, signal.SIGUSR1)
        began, own_began, used_began = time.perf_counter(), os.times(), usage(self._job.pid)
        self._measured.recording = True
        self._until(began + self._job.seconds)
        self._measured.recording = False
        seconds, own_ended = time.perf_counter() - began, os.times()
        used = usage(self._job.pid)
        own = (own_ended.user + own_ended.system - own_began.user - own_began.system) / seconds
        figures = self._figures(seconds, idle, used_began, used, own)
        for caller in self._callers:
            caller.hang_up()
        self._until(time.perf_counter() + GOODBYE_SECONDS)
        return figures

    def _set_up(self, number: int, ticket: Ticket) -> None:
        """Set up one call at a time, so that the next model session belongs to it."""
        url = urlsplit(self._job.media_url)
        connection = socket.create_connection((url.hostname, url.port))
        end = WebSocket(connection, self._poll, is_client=True)
        caller = Caller(number, ticket, end, self._measured, self._at)
        self._callers.append(caller)
        self._ends[end.fd] = caller
        headers = {"x-telnyx-streaming-auth-token": ticket.token}
        end.ask_to_upgrade(f"{url.path}/{ticket.call_id}/1", headers)
        timeout = time.perf_counter() + SETUP_SECONDS
        self._until(timeout, lambda: self._ready > number)
        if self._ready <= number:
            sys.exit(f"call {number + 1} of {len(self._job.tickets)} reached no model session")

    def _admit(self) -> None:
        """Accept the model session of the last caller."""
        connection, _ = self._door.accept()
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        end = WebSocket(connection, self._poll, is_client=False)
        caller = self._callers[-1]
        model = ModelSession(
            len(self._callers) - 1,
            caller,
            end,
            self._script,
            self._job.audio,
            self._measured,
            self._at,
            self._on_ready,
        )
        caller.model = model
        self._models.append(model)
        self._ends[end.fd] = model

    def _on_ready(self) -> None:
        self._ready += 1

    def _at(self, due: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due, next(self._order), action))

    def _until(self, end: float, enough: Callable[[], bool] = lambda: False) -> None:
        while time.perf_counter() < end and not enough():
            self._do_what_is_due()
            wait = min(self._due[0][0] if self._due else end, end) - time.perf_counter()
            # epoll counts its timeout in whole milliseconds, rounded up; select counts in
            # microseconds.
            select.select([self._poll], [], [], max(0.0, wait))
            for fd, event in self._poll.poll(0):
                self._on_event(fd, event)
                self._do_what_is_due()

    def _do_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= time.perf_counter():
            heapq.heappop(self._due)[2]()

    def _on_event(self, fd: int, event: int) -> None:
        if fd == self._door.fileno():
            self._admit()
            return
        end = self._ends[fd]
        if event & select.EPOLLOUT:
            end.socket.on_writable()
        now = time.perf_counter()
        was_open = end.socket.is_open
        for text in end.socket.receive():
            end.on_text(text, now)
        if end.socket.is_open and not was_open:
            end.on_open()
        if end.socket.is_over:
            del self._ends[fd]
            end.socket.drop()

    def _figures(
        self, seconds: float, idle: Usage, began: Usage, ended: Usage, own_cpu: float
    ) -> Figures:
        measured, calls = self._measured, len(self._callers)
        call_minutes = calls * seconds / 60
        lost_ms = sum(model.lost_ms for model in self._models)
        return Figures(
            calls=calls,
            seconds=round(seconds, 3),
            cpu_per_call_minute=round((ended.cpu_seconds - began.cpu_seconds) / call_minutes, 4),
            mb_per_call=round((ended.pss_mb - idle.pss_mb) / calls, 3),
            mb_idle=round(idle.pss_mb, 1),
            to_model=delays(measured.to_model_ms),
            filter_ms=round(median(measured.shift_ms), 3) if measured.shift_ms else None,
            to_phone=delays(measured.to_phone_ms),
            barge_in=delays(measured.barge_in_ms),
            lost_ms_per_minute=round(lost_ms / call_minutes, 3),
            unheard_probes=measured.unheard_probes,
            missing_ms=round(measured.missing_ms, 1),
            late_chunks=measured.late_chunks,
            calls_lost=sum(caller.socket.is_over for caller in self._callers),
            generator_cpu=round(own_cpu, 3),
            generator_late=delays(measured.late_send_ms),
        )


def _server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _take_precedence() -> None:
    """Take precedence over the database, which shares this core.

    A task of SCHED_RR runs as soon as a frame is due (man 7 sched). Without the permission, frames
    may leave 2 ms late (p99).
    """
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    _take_precedence()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    print(msgspec.json.encode(Load(job).run()).decode())


if __name__ == "__main__":
    main()
