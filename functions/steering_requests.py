"""What a live call may be told over the HTTP API; `live_calls.py` passes it on."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from agent_settings import AgentSettings, Instructions, ToolList, Words
from fields import Form, InvalidField, PhoneNumber, StrictRequest
from model_settings import Detection, Voice
from phonebridge.steering import Mute, Say, Side, Transfer, Update
from tool_settings import distinct

Target = Annotated[
    str,
    Form(
        r"^(\+[1-9][0-9]{1,14}|sips?:[^\s@<>]{1,64}@[^\s@<>]{1,190})$",
        "must be a number in E.164 form, such as +15550142, or a SIP URI, such as "
        "sip:desk@pbx.example",
    ),
    Field(description="E.164, or a SIP URI", examples=["+15550142"]),
]


class InterruptRequest(StrictRequest):
    """There is nothing to choose."""


class SayRequest(StrictRequest):
    text: Annotated[Words | None, Field(description="These very words.")] = None
    instruction: Annotated[Words | None, Field(description="What to speak about.")] = None
    interrupt: Annotated[
        bool, Field(description="Break off what the agent is saying; else that comes first.")
    ] = False

    def command(self) -> Say:
        if bool(self.text) == bool(self.instruction):
            raise InvalidField("text", "is required, or instruction; not both")
        return Say(words=self.text, instruction=self.instruction, interrupt=self.interrupt)


class UpdateRequest(StrictRequest):
    """What is left out stays as it is."""

    instructions: Instructions | None = None
    voice: Annotated[
        Voice | None, Field(description="Only as long as the agent has not spoken.")
    ] = None
    turn_detection: Detection | None = None
    tools: ToolList | None = None

    _distinct = field_validator("tools")(distinct)

    def command(self) -> Update:
        given = self._settings.given()
        if not given:
            raise InvalidField("instructions", "is required, or another setting")
        return Update(**given)

    @property
    def warnings(self) -> list[str]:
        late = "voice: has no effect once the agent has spoken; the call's timeline tells."
        return self._settings.warnings + ([late] if self.voice else [])

    @property
    def _settings(self) -> AgentSettings:
        return AgentSettings(
            instructions=self.instructions,
            voice=self.voice,
            turn_detection=self.turn_detection,
            tools=self.tools,
        )


class MuteRequest(StrictRequest):
    side: Annotated[Literal["agent", "caller"], Field(description="Who is not heard.")] = "agent"

    def command(self, muted: bool) -> Mute:
        return Mute(Side(self.side), muted)


class TransferRequest(StrictRequest):
    to: Target
    from_: Annotated[
        PhoneNumber | None, Field(alias="from", description="What the target sees as the caller.")
    ] = None
    mode: Annotated[
        Literal["blind", "warm"], Field(description="warm: the target hears the summary first.")
    ] = "blind"
    summary: Annotated[Words | None, Field(description="Spoken to the target.")] = None
    say: Annotated[Words | None, Field(description="Spoken to the caller, before.")] = None

    def command(self) -> Transfer:
        if self.mode == "warm" and not self.summary:
            raise InvalidField("summary", "is required for a warm transfer")
        if self.mode == "blind" and self.summary:
            raise InvalidField("summary", "nobody hears it in a blind transfer")
        return Transfer(
            to=self.to, from_=self.from_ or "", summary=self.summary or "", words=self.say
        )


class DtmfRequest(StrictRequest):
    digits: Annotated[
        str,
        Form(r"^[0-9A-D*#wW]{1,64}$", "must be 1 to 64 of 0-9, A-D, *, #, w and W"),
        Field(description="w pauses for half a second, W for a whole one."),
    ]
    duration_ms: Annotated[int, Field(ge=100, le=500, description="Of each key.")] = 250


class HangUpRequest(StrictRequest):
    say: Annotated[Words | None, Field(description="A last sentence.")] = None
