"""Media sockets that have not shown their token yet. Whoever opens them spends nothing of ours but
these few places."""

from collections import Counter

MAX_PENDING = 64
MAX_PENDING_PER_ADDRESS = 16
"""Telnyx sends the token with the upgrade; without it come those of a proxy that drops headers."""


class PendingSockets:
    """An address is empty where no balancer tells it: then only the sum is limited."""

    def __init__(self) -> None:
        self._addresses: Counter[str] = Counter()

    def has_room(self, address: str) -> bool:
        if self._addresses.total() >= MAX_PENDING:
            return False
        return not address or self._addresses[address] < MAX_PENDING_PER_ADDRESS

    def add(self, address: str) -> None:
        self._addresses[address] += 1

    def remove(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
