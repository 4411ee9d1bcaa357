"""Draws docs/lifecycle.md from the transition table of the code.

python docs/diagrams/lifecycle.py
"""

from pathlib import Path

from phonebridge.call.call import CallStatus
from phonebridge.call.lifecycle import TRANSITIONS

PAGE = Path(__file__).resolve().parent.parent / "lifecycle.md"


def page() -> str:
    return f"""# The life of a call

Every call has one status, and only these events change it. The [record](record.md) shows the status
and the events, and [design](design.md) explains where the code applies them.

```mermaid
stateDiagram-v2
{_lines("    ", [f"[*] --> {CallStatus.CREATED}", *_moves(), f"{CallStatus.ENDED} --> [*]"])}
```

Webhooks can come late, twice and in any order. Therefore each status accepts further events without
changing. Such an event adds its facts to the record, or nothing. Every other event is refused.

| status | events that do not change it |
|---|---|
{_lines("", _rests())}

`make diagrams` generates this page from `TRANSITIONS` in `shared/phonebridge/call/lifecycle.py`.

---

Next: [design](design.md), [the call record](record.md), [steering](steering.md).
"""


def _moves() -> list[str]:
    return [
        f"{status} --> {target}: {event.__name__}"
        for status, row in TRANSITIONS.items()
        for event, target in row.items()
        if target is not status
    ]


def _rests() -> list[str]:
    rests = {
        status: [f"`{event.__name__}`" for event, target in row.items() if target is status]
        for status, row in TRANSITIONS.items()
    }
    return [f"| {status} | {' '.join(events)} |" for status, events in rests.items() if events]


def _lines(indent: str, lines: list[str]) -> str:
    return "\n".join(indent + line for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
