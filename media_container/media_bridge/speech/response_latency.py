"""How long the caller waits for an answer, and for whom: from the last word of theirs to the first
sound that leaves for them.

The parts follow each other without a gap: the detector is sure that the caller has finished; the
response begins that will speak, after a tool's if there was one; the model sends its first sound;
the bridge sends it on. What the carrier and the phone add is not to be seen from here.
"""

from dataclasses import dataclass

from phonebridge.call.turn import Latency


@dataclass(slots=True)
class ResponseTimer:
    noticed: float
    """The detector reported at that time that the caller has finished."""
    detector_seconds: float | None
    """The detector needs so long to be sure. It is None if unknown."""
    item_id: str | None = None
    """The item whose sound ends the wait."""
    _responded: float | None = None
    _spoke: float = 0.0

    @property
    def last_word_at(self) -> float:
        """The caller's last word, as far as it is known."""
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
        """Rounded since the last word, so that the parts add up to the whole."""
        return round((at - self.last_word_at) * 1000)
