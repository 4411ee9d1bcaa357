"""The body of `POST /api/browser-calls`, and what a browser call cannot have."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from control_plane.agent_directory import Agent
from control_plane.api.requests.agent_settings import AgentName, AgentSettings
from control_plane.api.requests.create_call import Metadata
from control_plane.api.requests.fields import InvalidField
from control_plane.api.requests.tool_settings import name_of
from phonebridge.call.config import BrowserEvent, CallConfig, StreamSetup
from phonebridge.call.tools import BuiltIn, Tools

CARRIER_TOOLS = (BuiltIn.TRANSFER_CALL, BuiltIn.SEND_DTMF)
DEFAULT_EVENTS = (BrowserEvent.TRANSCRIPT, BrowserEvent.STATE, BrowserEvent.LATENCY)
_CODECS = {"pcmu": "PCMU", "l16": "L16"}
_NO_CARRIER = "needs a carrier, which a browser call does not have"


class CreateBrowserCall(AgentSettings):
    """A call from a browser. Omitted fields are taken from the agent, or else have their defaults.
    `codec`, `machine_detection`, `record: true`, `stream_setup` other than `on_answer`, and the
    tools `transfer_call` and `send_dtmf` need a carrier and are refused."""

    agent: Annotated[
        AgentName | None,
        Field(description="The agent whose settings hold where this request has none."),
    ] = None
    audio: Annotated[
        Literal["pcmu", "l16"] | None,
        Field(
            description="The format of both directions: `pcmu` is G.711 at 8 kHz, `l16` is 16-bit "
            "little-endian samples at 16 kHz and needs MODEL_AUDIO=pcm24k. `pcmu` if left out.",
        ),
    ] = None
    events: Annotated[
        list[Literal["transcript", "state", "latency", "tool"]] | None,
        Field(
            max_length=4,
            description="What the media socket reports besides the audio. Without this field, "
            "everything but `tool`.",
        ),
    ] = None
    metadata: Metadata = None

    def config(self, max_seconds: int, agent: Agent | None = None) -> CallConfig:
        """Return the settings of the call, without those of the agent that need a phone."""
        self._check_carrier_settings()
        config = super().config(max_seconds, agent)
        if config.record:
            problem = f"has record, which {_NO_CARRIER}; send `record: false` to do without"
            raise InvalidField("agent", problem)
        return replace(
            config,
            codec=_CODECS[self.audio or "pcmu"],
            machine_detection=None,
            stream_setup=StreamSetup.ON_ANSWER,
            tools=without_carrier_tools(config.tools),
            events=self._events(),
            metadata=self.metadata or {},
        )

    def _check_carrier_settings(self) -> None:
        if self.codec is not None:
            raise InvalidField("codec", "is for phone calls; choose the format with `audio`")
        if self.record:
            raise InvalidField("record", _NO_CARRIER)
        if self.machine_detection is not None:
            raise InvalidField("machine_detection", _NO_CARRIER)
        if self.stream_setup not in (None, StreamSetup.ON_ANSWER):
            raise InvalidField("stream_setup", f"must be `on_answer`: anything else {_NO_CARRIER}")
        check_carrier_tools(self)

    def _events(self) -> tuple[BrowserEvent, ...]:
        if self.events is None:
            return DEFAULT_EVENTS
        return tuple(BrowserEvent(name) for name in dict.fromkeys(self.events))


def check_carrier_tools(wanted: AgentSettings) -> None:
    """Raise `InvalidField` for a tool that needs the carrier."""
    for index, tool in enumerate(wanted.tools or ()):
        if (name := name_of(tool)) in CARRIER_TOOLS:
            raise InvalidField(f"tools.{index}", f"{name} {_NO_CARRIER}")


def without_carrier_tools(tools: Tools) -> Tools:
    kept = tuple(each for each in tools.built_in if each not in CARRIER_TOOLS)
    return replace(tools, built_in=kept, destinations=())
