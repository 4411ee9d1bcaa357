"""Stories of a bridge: what happens to it (`>>`) and what it must ask for in answer (`<<`).

    assert (
        Playbook(bridge)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> At(12.0)
        << FailCall("model_timeout", "the model session did not become ready")
    )

The answers are told in full and in their order; only log entries of level info and the marks among
the chunks (`test_playback.py`) are left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import zip_longest
from typing import Self

from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand, Log, MarkPlayback
from media_bridge.events import BridgeEvent, DeadlinePassed


@dataclass(frozen=True, slots=True)
class At:
    """Time passes until `seconds`, and whatever is due on the way is done at its time."""

    seconds: float


@dataclass(slots=True)
class Scene:
    cause: BridgeEvent | At
    commands: list[BridgeCommand] = field(default_factory=list)


class Playbook:
    """It is played when it is asserted; the next story goes on where the last one ended."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.now = 0.0
        self._told: list[Scene] = []

    def __rshift__(self, cause: BridgeEvent | At) -> Self:
        self._told.append(Scene(cause))
        return self

    def __lshift__(self, command: BridgeCommand) -> Self:
        self._told[-1].commands.append(command)
        return self

    def __bool__(self) -> bool:
        told, self._told = self._told, []
        played = [Scene(scene.cause, self._play(scene.cause)) for scene in told]
        assert played == told, _side_by_side(told, played)
        return True

    def _play(self, cause: BridgeEvent | At) -> list[BridgeCommand]:
        if isinstance(cause, At):
            commands = [command for _, command in pass_time(self.bridge, self.now, cause.seconds)]
            self.now = cause.seconds
        else:
            commands = self.bridge.handle(cause, self.now)
        return [each for each in unmarked(commands) if not _is_info(each)]


def unmarked(commands: Iterable[BridgeCommand]) -> list[BridgeCommand]:
    return [each for each in commands if not isinstance(each, MarkPlayback)]


def _is_info(command: BridgeCommand) -> bool:
    return isinstance(command, Log) and command.level == "info"


def pass_time(bridge: Bridge, now: float, until: float) -> Iterator[tuple[float, BridgeCommand]]:
    """Keep every deadline up to `until`; a deadline that does not go away would spin forever."""
    while (deadline := bridge.next_deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        for command in unmarked(bridge.handle(DeadlinePassed(), now)):
            yield now, command
        following = bridge.next_deadline()
        assert following is None or following > now, f"the deadline at {now} s was not met"


def _side_by_side(told: list[Scene], played: list[Scene]) -> str:
    rows = [("", "EXPECTED", "ACTUAL")]
    for expected, actual in zip(told, played, strict=True):
        rows.append(("", f">> {_shown(expected.cause)}", ""))
        for want, got in zip_longest(expected.commands, actual.commands):
            mark = "" if want == got else "!"
            rows.append((mark, _answered(want), _answered(got)))
    width = max(len(left) for _, left, _ in rows)
    return "\n" + "\n".join(f"{mark:2}{left:{width}}  {right}" for mark, left, right in rows)


def _answered(command: BridgeCommand | None) -> str:
    return "" if command is None else f"   << {_shown(command)}"


def _shown(value: object) -> str:
    """As `repr`, with audio told by its length."""
    if isinstance(value, bytes) and len(value) > 8:
        return f"<{len(value)} bytes {value[:2].hex()}..{value[-2:].hex()}>"
    if not is_dataclass(value):
        return repr(value)
    shown = ", ".join(_shown(getattr(value, each.name)) for each in fields(value))
    return f"{type(value).__name__}({shown})"
