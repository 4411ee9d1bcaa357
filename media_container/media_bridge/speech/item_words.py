"""The words of one item. Final words replace partial ones.

Words come in pieces, then once more as the transcript of a part, and again with the whole item. Any
of these may be missing, empty or late.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class ItemWords:
    is_over: bool = False
    """True if no more words will come."""
    _pieces: dict[int, list[str]] = field(default_factory=dict)
    """The keys are the indexes of the content parts."""
    _final: dict[int, str] = field(default_factory=dict)
    """Transcripts of whole parts."""
    _whole: str = ""

    @property
    def text(self) -> str:
        if self._whole:
            return self._whole
        parts = sorted(self._pieces.keys() | self._final.keys())
        said = (self._final.get(part) or "".join(self._pieces.get(part, ())) for part in parts)
        return " ".join(filter(None, map(str.strip, said)))

    @property
    def is_final(self) -> bool:
        """Whether the words are complete."""
        return bool(self._whole or (self._final and self._pieces.keys() <= self._final.keys()))

    def add(self, piece: str, content_index: int = 0) -> None:
        self._pieces.setdefault(content_index, []).append(piece)

    def finish(self, text: str, content_index: int | None = None) -> None:
        """Take the transcript of a part, or of the whole item. An empty one removes no words."""
        if content_index is None:
            self._whole = text.strip() or self._whole
        else:
            self._final[content_index] = text.strip()
