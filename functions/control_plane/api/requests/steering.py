"""Requests that steer a live call. `api/live_calls.py` passes them on."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from control_plane.api.requests.agent_settings import AgentSettings, Instructions, ToolList, Words
from control_plane.api.requests.fields import (
    InvalidField,
    Pattern,
    PhoneNumber,
    StrictModel,
    Target,
)
from control_plane.api.requests.model_settings import Detection, Voice
from control_plane.api.requests.tool_settings import check_distinct
from phonebridge.call.steering import Mute, Say, Side, StartTransfer, Update


class InterruptRequest(StrictModel):
    """An interruption has no options."""


class SayRequest(StrictModel):
    """Either `text` or `instruction`."""

    text: Annotated[Words | None, Field(description="The exact words to say.")] = None
    instruction: Annotated[
        Words | None, Field(description=("An instruction what to speak about."))
    ] = None
    interrupt: Annotated[
        bool,
        Field(
            description=(
                "Whether to interrupt the agent's current speech. Otherwise the agent "
                "speaks afterwards."
            )
        ),
    ] = False

    def command(self) -> Say:
        if self.text and self.instruction:
            raise InvalidField("text", "must not be set together with instruction")
        if not (self.text or self.instruction):
            raise InvalidField("text", "is required, or instruction instead of it")
        return Say(words=self.text, instruction=self.instruction, interrupt=self.interrupt)


class UpdateRequest(StrictModel):
    """Omitted settings stay as they are."""

    instructions: Annotated[
        Instructions | None, Field(description="The agent's role and task (system prompt).")
    ] = None
    voice: Annotated[
        Voice | None,
        Field(description="Another voice. It has no effect once the agent has spoken."),
    ] = None
    turn_detection: Annotated[
        Detection | None, Field(description="How the end of the caller's turn is detected.")
    ] = None
    tools: Annotated[ToolList | None, Field(description="The tools that the agent may use.")] = None

    _distinct = field_validator("tools")(check_distinct)

    def command(self) -> Update:
        given = self.settings.overrides()
        if not given:
            raise InvalidField("instructions", "is required, or voice, turn_detection or tools")
        return Update(**given)

    @property
    def settings(self) -> AgentSettings:
        return AgentSettings(
            instructions=self.instructions,
            voice=self.voice,
            turn_detection=self.turn_detection,
            tools=self.tools,
        )


class MuteRequest(StrictModel):
    """Which side of the call is muted."""

    side: Annotated[Literal["agent", "caller"], Field(description="The side to mute.")] = "agent"

    def command(self, muted: bool) -> Mute:
        return Mute(Side(self.side), muted)


class TransferRequest(StrictModel):
    """The target of the transfer, and the words before it."""

    to: Target
    from_: Annotated[
        PhoneNumber | None,
        Field(
            alias="from",
            description=(
                "The caller id for the target, in E.164 form. Default: our number in this call."
            ),
        ),
    ] = None
    mode: Annotated[
        Literal["blind", "warm"],
        Field(
            description=(
                "`blind` rings the target and connects it. `warm` first reads `summary` to "
                "the target."
            )
        ),
    ] = "blind"
    summary: Annotated[
        Words | None,
        Field(description="Read to the target. Required with `warm`, refused otherwise."),
    ] = None
    say: Annotated[
        Words | None,
        Field(description=("The exact words to say to the caller before the transfer.")),
    ] = None

    def command(self) -> StartTransfer:
        if self.mode == "warm" and not self.summary:
            raise InvalidField("summary", "is required for a warm transfer")
        if self.mode == "blind" and self.summary:
            raise InvalidField("summary", "goes with mode `warm` only; nobody would hear it")
        return StartTransfer(
            to=self.to, from_=self.from_ or "", summary=self.summary or "", words=self.say
        )


class DtmfRequest(StrictModel):
    """Keys to press."""

    digits: Annotated[
        str,
        Pattern(r"^[0-9A-D*#wW]{1,64}$", "must be 1 to 64 of 0-9, A-D, *, #, w and W"),
        Field(
            description="The keys. `w` pauses for half a second, `W` for a whole one.",
            examples=["1w234#"],
        ),
    ]
    duration_ms: Annotated[int, Field(ge=100, le=500, description="Duration of each tone.")] = 250


class HangUpRequest(StrictModel):
    """How to end the call."""

    say: Annotated[
        Words | None,
        Field(description="A last sentence. The call ends when it was played."),
    ] = None
