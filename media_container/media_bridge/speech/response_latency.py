"""Measures how long the caller waits for a reply: from the caller's last word to the first sound
that leaves for them.

The wait has four parts, which follow each other without a gap. Each part ends with an event:

1. The detector is sure that the caller has finished.
2. The response that will speak begins, after one that called a tool if there was any.
3. The model sends its first sound.
4. The bridge sends it on.

The delays of the carrier and the phone are not known here.
"""

from dataclasses import dataclass

from phonebridge.call.turn import Latency


@dataclass(slots=True)
class ResponseTimer:
    noticed: float
    """When the detector reported that the caller has finished."""
    detector_seconds: float | None
    """How long the detector needs to be sure. None if unknown."""
    item_id: str | None = None
    """The item whose sound ends the wait."""
    _responded: float | None = None
    _spoke: float = 0.0

    @property
    def last_word_at(self) -> float:
        """When the caller said the last word, as far as it is known."""
        return self.noticed - (self.detector_seconds or 0)

    def on_response_started(self, now: float) -> None:
        if self.item_id is None:
            self._responded = now

    def on_model_audio(self, item_id: str, now: float) -> None:
        if self.item_id is None:
            self.item_id, self._spoke = item_id, now

    def finish(self, now: float) -> Latency:
        noticed = self._ms(self.noticed)
        responded = self._ms(self._responded or self.noticed)
        spoke = self._ms(self._spoke)
        return Latency(
            response_ms=responded - noticed,
            model_ms=spoke - responded,
            bridge_ms=self._ms(now) - spoke,
            detector_ms=None if self.detector_seconds is None else noticed,
        )

    def _ms(self, at: float) -> int:
        """Return rounded milliseconds. All times are rounded since the last word, so that the parts
        add up to the whole."""
        return round((at - self.last_word_at) * 1000)
