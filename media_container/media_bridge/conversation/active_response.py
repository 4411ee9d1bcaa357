"""The state of the requested or running response: what it has produced, and when it stalls."""

from dataclasses import dataclass, field

STALL_TIMEOUT = 15.0
MCP_STALL_TIMEOUT = 45.0
"""While the model waits for an MCP server, it sends no event."""
CANCEL_TIMEOUT = 5.0


@dataclass(slots=True)
class ActiveResponse:
    has_spoken: bool = False
    has_called: bool = False
    last_sign_at: float = 0.0
    """An event showed at that time that the model is alive."""
    stall_timeout: float = STALL_TIMEOUT
    _mcp_calls: dict[str, bool] = field(default_factory=dict)
    """The values are true for calls that are under way."""

    @property
    def stalls_at(self) -> float:
        return self.last_sign_at + self.stall_timeout

    def begin(self, now: float) -> None:
        """A response was requested, or has started."""
        self.has_spoken = self.has_called = False
        self.last_sign_at, self.stall_timeout = now, STALL_TIMEOUT
        self._mcp_calls.clear()

    def on_cancelled(self, now: float) -> None:
        """The response was cancelled, so it has little time to end."""
        self.last_sign_at, self.stall_timeout = now, CANCEL_TIMEOUT

    def on_mcp_called(self, item_id: str) -> None:
        self._mcp_calls.setdefault(item_id, True)
        self._set_mcp_timeout()

    def on_mcp_returned(self, item_id: str) -> None:
        if item_id in self._mcp_calls:
            self._mcp_calls[item_id] = False
            self._set_mcp_timeout()

    def _set_mcp_timeout(self) -> None:
        if self.stall_timeout != CANCEL_TIMEOUT:
            is_under_way = any(self._mcp_calls.values())
            self.stall_timeout = MCP_STALL_TIMEOUT if is_under_way else STALL_TIMEOUT
