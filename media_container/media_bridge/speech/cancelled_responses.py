"""Responses that were stopped on their way. What is still sent of them is dropped by their id, for
a delta may come long after the interruption."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class CancelledResponses:
    _items: dict[str, set[str]] = field(default_factory=dict)
    """Of each response those whose end the model has been told."""

    def __contains__(self, response_id: str) -> bool:
        return response_id in self._items

    def add(self, response_id: str) -> None:
        self._items.setdefault(response_id, set())

    def mark_truncated(self, response_id: str, item_id: str) -> bool:
        """Whether the model has to be told, once, where that item ended."""
        known = self._items.setdefault(response_id, set())
        if item_id in known:
            return False
        known.add(item_id)
        return True
