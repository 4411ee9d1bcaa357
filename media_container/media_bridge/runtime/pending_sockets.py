"""Counts media sockets that have not sent their token yet. They take no call slot."""

from collections import Counter

MAX_PENDING = 64
MAX_PENDING_PER_ADDRESS = 16
"""Telnyx sends the token in a header. It comes in the first frame only if a proxy drops headers."""


class PendingSockets:
    """Counts the sockets that have not shown a token yet. Without a load balancer, the client's
    address is unknown, and only the total is limited."""

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
