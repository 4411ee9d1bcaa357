"""Playbooks of a bridge: events that happen (`>>`), and the commands that must follow (`<<`).

    assert (
        Playbook(bridge)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> At(12.0)
        << FailCall("model_timeout", "the model session did not become ready")
    )

Commands are complete and in order. Only log entries of level info, the marks between chunks
(`test_playback_clock.py`) and what is stored for another task (`test_memory.py`) are left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import zip_longest
from typing import Self

from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand, Log, MarkPlayback, SaveResume
from media_bridge.events import BridgeEvent, DeadlinePassed


@dataclass(frozen=True, slots=True)
class At:
    """Lets time pass until `seconds`. Deadlines on the way are handled at their time."""

    seconds: float


@dataclass(slots=True)
class Scene:
    cause: BridgeEvent | At
    commands: list[BridgeCommand] = field(default_factory=list)


class Playbook:
    """A story that is played when it is asserted. The next story continues where the last one
    ended."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.now = 0.0
        self._story: list[Scene] = []

    def __rshift__(self, cause: BridgeEvent | At) -> Self:
        self._story.append(Scene(cause))
        return self

    def __lshift__(self, command: BridgeCommand) -> Self:
        self._story[-1].commands.append(command)
        return self

    def __bool__(self) -> bool:
        story, self._story = self._story, []
        played = [Scene(scene.cause, self._play(scene.cause)) for scene in story]
        assert played == story, _side_by_side(story, played)
        return True

    def _play(self, cause: BridgeEvent | At) -> list[BridgeCommand]:
        if isinstance(cause, At):
            commands = [command for _, command in pass_time(self.bridge, self.now, cause.seconds)]
            self.now = cause.seconds
        else:
            commands = self.bridge.handle(cause, self.now)
        return [each for each in unmarked(commands) if not _is_info(each)]


def unmarked(commands: Iterable[BridgeCommand]) -> list[BridgeCommand]:
    """Leave out marks, and what is stored for another task."""
    return [each for each in commands if not isinstance(each, MarkPlayback | SaveResume)]


def _is_info(command: BridgeCommand) -> bool:
    return isinstance(command, Log) and command.level == "info"


def pass_time(bridge: Bridge, now: float, until: float) -> Iterator[tuple[float, BridgeCommand]]:
    """Handle every deadline up to `until`. A deadline that is never cleared would loop forever."""
    while (deadline := bridge.next_deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        for command in unmarked(bridge.handle(DeadlinePassed(), now)):
            yield now, command
        following = bridge.next_deadline()
        assert following is None or following > now, f"the deadline at {now} s was not met"


def _side_by_side(story: list[Scene], played: list[Scene]) -> str:
    rows = [("", "EXPECTED", "ACTUAL")]
    for expected, actual in zip(story, played, strict=True):
        rows.append(("", f">> {_show(expected.cause)}", ""))
        for wanted, got in zip_longest(expected.commands, actual.commands):
            mark = "" if wanted == got else "!"
            rows.append((mark, _command_line(wanted), _command_line(got)))
    width = max(len(left) for _, left, _ in rows)
    return "\n" + "\n".join(f"{mark:2}{left:{width}}  {right}" for mark, left, right in rows)


def _command_line(command: BridgeCommand | None) -> str:
    return "" if command is None else f"   << {_show(command)}"


def _show(value: object) -> str:
    """Like `repr`, with the length of audio in place of its bytes."""
    if isinstance(value, bytes) and len(value) > 8:
        return f"<{len(value)} bytes {value[:2].hex()}..{value[-2:].hex()}>"
    if not is_dataclass(value):
        return repr(value)
    shown = ", ".join(_show(getattr(value, each.name)) for each in fields(value))
    return f"{type(value).__name__}({shown})"
