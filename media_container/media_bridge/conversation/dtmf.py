"""Collects the keys that the caller presses into one entry, which then goes to the model. The
carrier reports each key twice, on the media socket and by webhook (`call.dtmf.received`). Only the
report on the socket counts here.

The carrier reports each key twice, on the media socket and by webhook (`call.dtmf.received`). Only
the report on the socket counts here.
"""

from dataclasses import dataclass

from media_bridge.deadline import NEVER

PAUSE_SECONDS = 1.5
"""An entry is complete so long after its last key. `#` completes it at once."""
END = "#"
MAX_ENTRY_LENGTH = 32


@dataclass(slots=True)
class DtmfCollector:
    entered: str = ""
    complete_at: float = NEVER

    def press(self, digit: str, now: float) -> None:
        self.entered += digit
        is_whole = digit == END or len(self.entered) >= MAX_ENTRY_LENGTH
        self.complete_at = now if is_whole else now + PAUSE_SECONDS

    def take(self, now: float) -> str | None:
        """Take the entry once it is complete."""
        if now < self.complete_at:
            return None
        return self.take_unfinished()

    def take_unfinished(self) -> str | None:
        entry, self.entered, self.complete_at = self.entered, "", NEVER
        return entry or None


def as_prompt(entry: str) -> str:
    """Write the keys one by one for the model, which would read 12 as twelve."""
    return f"The caller pressed {' '.join(entry)} on the keypad."


def as_transcript(entry: str, with_digits: bool) -> str:
    """Write an entry for the record, without digits by default: they may be a PIN or a card
    number."""
    if with_digits:
        return f"[pressed {' '.join(entry)}]"
    return f"[pressed {len(entry)} {'key' if len(entry) == 1 else 'keys'}]"
