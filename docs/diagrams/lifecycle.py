"""Draws docs/lifecycle.md from the table that the code runs on.

python docs/diagrams/lifecycle.py
"""

from pathlib import Path

from phonebridge.call.call import CallStatus
from phonebridge.call.lifecycle import TRANSITIONS

PAGE = Path(__file__).resolve().parent.parent / "lifecycle.md"


def page() -> str:
    return f"""# The life of a call

Made from `TRANSITIONS` in `shared/phonebridge/call/lifecycle.py` by `docs/diagrams/lifecycle.py`.

```mermaid
stateDiagram-v2
{_lines("    ", [f"[*] --> {CallStatus.CREATED}", *_moves(), f"{CallStatus.ENDED} --> [*]"])}
```

Webhooks come late, twice and in any order. These add their fact to the record, or none, and leave
the status as it is; every other event is refused.

| status | stays as it is on |
|---|---|
{_lines("", _rests())}
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
