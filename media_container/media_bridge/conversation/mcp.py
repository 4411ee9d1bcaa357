"""Servers of the Model Context Protocol. OpenAI's servers call them and report to us."""

from media_bridge import tool_events
from media_bridge.commands import AddMessage, AddTimelineEntry, BridgeCommand, Role

TIMEOUT_SECONDS = 45.0
"""A call of an MCP server may take so long. Functions have a timeout in their settings."""


class McpServers:
    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        """The keys are the items in which the servers list their tools."""
        self._returned: dict[str, bool] = {}

    def on_event(self, event: tool_events.McpEvent) -> list[BridgeCommand]:
        match event:
            case tool_events.McpListing(item_id, label):
                self._labels[item_id] = label
            case tool_events.McpReturned(item_id, ok):
                self._returned[item_id] = ok
            case tool_events.McpUnavailable(item_id):
                label = self._labels.get(item_id, "an MCP server")
                notice = f"The tools of {label} are not available in this call."
                return [
                    AddTimelineEntry("mcp server unavailable", label),
                    AddMessage(Role.SYSTEM, notice),
                ]
        return []

    def outcome(self, call: tool_events.McpCalled) -> str | None:
        """Return None while the call is under way. It may be over before the response that made
        it."""
        if call.item_id not in self._returned:
            return None
        return "ok" if self._returned[call.item_id] else "failed"
