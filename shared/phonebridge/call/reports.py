"""Reports of the carrier's events to the container of a call, and their keys. This module is
pure."""

from dataclasses import dataclass

from phonebridge.call.call import Call
from phonebridge.call.commands import Report, ReportAnswer, ReportEnd, ReportMachine
from phonebridge.call.steering import (
    Answered,
    EndCallNow,
    MachineAnswered,
    News,
    TransferFinished,
)
from phonebridge.call.transfer import ReportTransfer


@dataclass(frozen=True, slots=True)
class KeyedReport:
    """The key is the same for every attempt to report one thing. It begins with the time at which
    the need for the report arose, because messages are read in the order of their keys."""

    message: News
    key: str


def report_of(command: Report, call: Call) -> KeyedReport | None:
    asked_at = call.asked_at
    match command:
        case ReportAnswer():
            return KeyedReport(Answered(), _key(asked_at.stream_ms, call, "answered"))
        case ReportMachine() if call.detection:
            over = call.detection.greeting_over
            what = "greeting-over" if over else "machine"
            return KeyedReport(MachineAnswered(over), _key(asked_at.machine_report_ms, call, what))
        case ReportEnd():
            return KeyedReport(EndCallNow(), _key(asked_at.leg_ms, call, "end"))
        case ReportTransfer():
            return _transfer_report(call)
        case _:
            return None


def _transfer_report(call: Call) -> KeyedReport:
    """Return the report about a transfer. The carrier may also transfer a call without an attempt
    of ours."""
    attempt = call.transfer
    failure = attempt.end if attempt and call.transferred_at_ms is None else None
    what = f"transfer-{attempt.number if attempt else 0}-{'failed' if failure else 'done'}"
    key = _key(call.asked_at.transfer_report_ms, call, what)
    return KeyedReport(TransferFinished(failure), key)


def _key(asked_ms: int, call: Call, what: str) -> str:
    return f"{asked_ms:013d}-{call.call_id}-{what}"
