"""How simulated calls behave: the person, the faults, and the numbers with a fixed behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from simulators.scenario import KEYPAD, NOT_A_WORD, Scenario
from simulators.telnyx.undocumented import DEFAULT, Undocumented

StopNews = Literal["sent", "missing", "late", "twice"]
Disturbance = Literal["second_socket", "close", "reset", "half_open"]
DialFault = Literal["forbidden", "invalid", "rate_limited", "fails_twice", "never_answers"]
MAX_CALL_MS = 4 * 60 * 60 * 1000
"""Telnyx's limit for the length of a call."""


@dataclass(frozen=True, slots=True)
class Person:
    scenario: Scenario
    answers_after_ms: int = 300
    hangs_up: bool = True
    """Whether the person hangs up after the last line and the agent's reply. Otherwise they stay
    silent until the call ends."""
    codec: Literal["PCMU", "PCMA", "L16"] = "PCMU"
    """Codec of the phone leg, and so of what Telnyx streams. PCMA is usual in Europe, L16 is a line
    with HD voice."""
    refuses: Literal["busy", "rejected", "no_answer"] | None = None
    machine: bool = False
    """True if an answering machine answers (`machine.py`). The carrier reports it if the dial
    requested detection."""
    silence_timeout_ms: int = 15_000
    """How long both sides may be silent before the person hangs up, unless they are one who
    stays."""
    repeats_after_ms: int | None = None
    """How long both sides may be silent before the person says the last line again."""
    lingers_ms: int = 0
    """How long both sides must be silent after the last reply before the person hangs up."""
    max_call_ms: int = MAX_CALL_MS
    """When the person hangs up at the latest, even one who stays."""

    @property
    def listen_only(self) -> "Person":
        """Return the same person without lines."""
        return replace(self, scenario=replace(self.scenario, caller=()), hangs_up=False)


@dataclass(frozen=True, slots=True)
class CarrierFaults:
    """Faults of the carrier. All are off by default."""

    dial: DialFault | None = None
    webhook_before_dial_answer: bool = False
    duplicate_webhooks: bool = False
    swap_webhooks: bool = False
    """Every other webhook is delivered after the next one."""
    hangup_before_answered: bool = False
    """call.answered is delivered only after call.hangup."""
    streaming_start_refused: bool = False
    streaming_fails: bool = False
    """The command is accepted, but the socket is never opened."""
    early_stream_fails: bool = False
    """The stream that the dial requested fails. One of streaming_start opens."""
    early_stream_closes_after_ms: int | None = None
    """The stream of the dial closes this long after its start, while the phone rings."""
    no_start: bool = False
    muted: bool = False
    """All frames carry silence."""
    swap_chunks: bool = False
    lost_chunks: float = 0.0
    """The share of the carrier's frames that is lost."""
    jitter_ms: int = 0
    second_socket_after_ms: int | None = None
    """Milliseconds after the start of the first stream."""
    close_without_stop_after_ms: int | None = None
    """Milliseconds after the start of the first stream."""
    reset_after_ms: int | None = None
    """The connection is reset this many milliseconds after the start of the stream. The leg
    stays."""
    half_open_after_ms: int | None = None
    """After this many milliseconds, the carrier sends and reads nothing more on the socket, and
    does not notice it."""
    stop_news: StopNews = "sent"
    """How the webhook `streaming.stopped` is delivered."""
    undocumented: Undocumented = DEFAULT

    def disturbance(self, carried_ms: int) -> Disturbance | None:
        """Return the disturbance of a stream that has carried so much of the caller's sound."""
        after_ms: dict[Disturbance, int | None] = {
            "second_socket": self.second_socket_after_ms,
            "close": self.close_without_stop_after_ms,
            "reset": self.reset_after_ms,
            "half_open": self.half_open_after_ms,
        }
        due = (
            kind for kind, at_ms in after_ms.items() if at_ms is not None and carried_ms >= at_ms
        )
        return next(due, None)


PEOPLE_BY_NUMBER: Mapping[str, Mapping[str, Any]] = {
    "+15550101": {"refuses": "busy"},
    "+15550102": {"refuses": "no_answer"},
    "+15550103": {"refuses": "rejected"},
    "+15550105": {"codec": "PCMA"},
    "+15550134": {"codec": "L16"},
    "+15550109": {"machine": True},
    "+15550115": {"hangs_up": False},
    "+15550120": {"scenario": KEYPAD},
    "+15550121": {"scenario": NOT_A_WORD, "hangs_up": False},
}
FAULTS_BY_NUMBER: Mapping[str, Mapping[str, Any]] = {
    "+15550104": {"dial": "forbidden"},
    "+15550106": {"streaming_start_refused": True},
    "+15550107": {"dial": "rate_limited"},
    "+15550108": {"dial": "fails_twice"},
    "+15550110": {"dial": "never_answers"},
    "+15550111": {"dial": "invalid"},
    "+15550112": {"streaming_fails": True},
    "+15550113": {"no_start": True},
    "+15550114": {"muted": True},
    "+15550116": {"duplicate_webhooks": True, "swap_webhooks": True},
    "+15550117": {"swap_chunks": True, "lost_chunks": 0.02, "jitter_ms": 60},
    "+15550118": {"close_without_stop_after_ms": 2000},
    "+15550119": {"second_socket_after_ms": 2000},
    "+15550122": {"reset_after_ms": 4000},
    "+15550125": {"half_open_after_ms": 4000},
    "+15550126": {"reset_after_ms": 4000, "stop_news": "missing"},
    "+15550127": {"reset_after_ms": 4000, "stop_news": "late"},
    "+15550128": {"reset_after_ms": 4000, "stop_news": "twice"},
    "+15550129": {
        "half_open_after_ms": 4000,
        "undocumented": Undocumented(second_stream="replaces"),
    },
    "+15550131": {"early_stream_fails": True},
    "+15550132": {"early_stream_closes_after_ms": 100},
}


def behind(number: str, person: Person, faults: CarrierFaults) -> tuple[Person, CarrierFaults]:
    """Return person and faults for a call to this number, given those of all other calls."""
    return (
        replace(person, **PEOPLE_BY_NUMBER.get(number, {})),
        replace(faults, **FAULTS_BY_NUMBER.get(number, {})),
    )
