"""What a call does when it is told something from outside: by the API, or by the carrier."""

from dataclasses import replace

from media_bridge import events
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CreateResponse,
    EndCall,
    Log,
    Role,
    TransferCall,
    UpdateSession,
)
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from phonebridge.call import steering
from phonebridge.call.call import EndedBy
from phonebridge.call.steering import Steering, Update


def to_event(command: Steering) -> events.BridgeEvent:
    """What a command from the mailbox is to the bridge."""
    match command:
        case steering.Interrupt():
            return events.InterruptRequested()
        case steering.Say():
            request = CreateResponse(exact_text=command.words, instructions=command.instruction)
            return events.SayRequested(request, command.interrupt)
        case steering.Update():
            return events.UpdateRequested(command)
        case steering.Mute(side, muted):
            return events.MuteRequested(side, muted)
        case steering.StartTransfer():
            transfer = TransferCall(command.to, command.summary, command.from_)
            return events.CallTransferRequested(transfer, command.words)
        case steering.SayGoodbye(words):
            return events.HangUpRequested(EndedBy.API, words)
        case _:
            return _carrier_event(command)


def _carrier_event(command: steering.News) -> events.BridgeEvent:
    """Of the carrier's."""
    match command:
        case steering.Answered():
            return events.AnswerReported()
        case steering.MachineAnswered(greeting_over):
            return events.MachineDetected(greeting_over)
        case steering.TransferFinished(None):
            return events.LeaveRequested()
        case steering.TransferFinished(failure):
            return events.TransferFailed(failure or "")


def needs_model(event: events.SteeringEvent) -> bool:
    """Whether the model must be ready for it: who has to speak, for one."""
    match event:
        case events.HangUpRequested(_, saying, guidance):
            return bool(saying or guidance)
        case events.InterruptRequested():
            return False
        case _:
            return True


def apply_event(
    event: events.SteeringEvent, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    match event:
        case events.InterruptRequested():
            return conversation.interrupt(now)
        case events.SayRequested(request, interrupt):
            say = conversation.interrupt_with if interrupt else conversation.request_response
            return say(request, Purpose.SAY, now)
        case events.MuteRequested(_, muted):
            return conversation.mute(now) if muted else conversation.reply.unmute(now)
        case events.UpdateRequested(update):
            return _update(update, conversation)
        case events.CallTransferRequested(transfer, saying):
            return _finish(transfer, CreateResponse(exact_text=saying), conversation, now)
        case events.HangUpRequested(by, saying, guidance):
            return _end(EndCall(by), CreateResponse(saying, guidance), conversation, now)
        case _:
            return _on_outcome(event, conversation, now)


def _on_outcome(
    event: events.OutcomeEvent, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    """What became of something that was asked for."""
    match event:
        case events.SettingsUpdated(config, changed):
            conversation.config = config
            return [AddTimelineEntry("settings updated", ", ".join(changed))]
        case events.SettingsRefused(detail):
            return _rejection(detail)
        case events.TransferFailed(reason):
            conversation.is_transferring = False
            what = f"The call could not be transferred: {reason}. The caller is still with you."
            return _inform_model(what, conversation, now)
        case events.DigitsFailed(reason):
            return _inform_model(f"The keys could not be pressed: {reason}.", conversation, now)
        case events.MessageLost():
            what = "The message could not be stored after all: tell the caller."
            return _inform_model(what, conversation, now)


def _update(update: Update, conversation: Conversation) -> list[BridgeCommand]:
    """A voice that was heard cannot change, and would take the rest of the update along (OpenAI,
    `cannot_update_voice`)."""
    commands: list[BridgeCommand] = []
    if update.voice and conversation.has_spoken:
        update = replace(update, voice=None)
        commands += _rejection("voice: the agent has already spoken")
    if update.changes:
        commands.append(UpdateSession(update))
    return commands


def _rejection(detail: str) -> list[BridgeCommand]:
    return [Log("warning", "update refused", detail), AddTimelineEntry("update refused", detail)]


def _end(
    end: EndCall, words: CreateResponse, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    """Last words are heard of a muted agent too."""
    if not words.has_words:
        return [end]
    return [*conversation.reply.unmute(now), *_finish(end, words, conversation, now)]


def _finish(
    command: BridgeCommand, words: CreateResponse, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    """When all has been said, last words included."""
    conversation.after_playback(command, now)
    return conversation.request_response(words, Purpose.GOODBYE, now) if words.has_words else []


def _inform_model(what: str, conversation: Conversation, now: float) -> list[BridgeCommand]:
    """So that it can speak about it."""
    return [
        AddMessage(Role.SYSTEM, what),
        *conversation.request_response(CreateResponse(), Purpose.NOTICE, now),
    ]
