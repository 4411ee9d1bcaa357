"""Responses that were stopped before their end. Later deltas are dropped by the response's id,
because they may come long after the interruption."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class CancelledResponses:
    _items: dict[str, set[str]] = field(default_factory=dict)
    """The items of each response whose end the model knows."""

    def __contains__(self, response_id: str) -> bool:
        return response_id in self._items

    def add(self, response_id: str) -> None:
        self._items.setdefault(response_id, set())

    def mark_truncated(self, response_id: str, item_id: str) -> bool:
        """Return True once for each item, when the model has to learn where it ended."""
        known = self._items.setdefault(response_id, set())
        if item_id in known:
            return False
        known.add(item_id)
        return True
