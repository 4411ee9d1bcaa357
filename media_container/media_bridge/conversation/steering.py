"""Carries out requests of the API, and handles reports of the carrier."""

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
    SaveSettings,
    TransferCall,
    UpdateSession,
)
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from phonebridge.call import steering
from phonebridge.call.call import EndedBy
from phonebridge.call.steering import Update


def needs_model(event: events.SteeringEvent) -> bool:
    """Return whether the event has to wait until the model is ready."""
    match event:
        case events.HangUpRequested(_, exact_text, instructions):
            return bool(exact_text or instructions)
        case steering.Interrupt():
            return False
        case _:
            return True


def apply_event(
    event: events.SteeringEvent, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    match event:
        case steering.Interrupt():
            return conversation.interrupt(now)
        case steering.Say():
            request = CreateResponse(exact_text=event.words, instructions=event.instruction)
            say = conversation.interrupt_with if event.interrupt else conversation.request_response
            return say(request, Purpose.SAY, now)
        case steering.Mute(_, muted):
            return conversation.mute(now) if muted else conversation.unmute(now)
        case steering.Update():
            return _update(event, conversation)
        case steering.StartTransfer():
            transfer = TransferCall(event.to, event.summary, event.from_)
            return _finish(transfer, CreateResponse(exact_text=event.words), conversation, now)
        case steering.SayGoodbye() | events.HangUpRequested():
            return _end_call(event, conversation, now)
        case _:
            return _on_outcome(event, conversation, now)


def _end_call(
    event: steering.SayGoodbye | events.HangUpRequested, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    match event:
        case steering.SayGoodbye(words):
            return _end(EndCall(EndedBy.API), CreateResponse(exact_text=words), conversation, now)
        case events.HangUpRequested(by, exact_text, instructions):
            return _end(EndCall(by), CreateResponse(exact_text, instructions), conversation, now)


def _on_outcome(
    event: events.OutcomeEvent, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    """Take note of the outcome of something that was requested."""
    match event:
        case events.SettingsUpdated(changed=()):
            return []  # it was only asked whether it is there
        case events.SettingsUpdated(config, changed):
            conversation.configure(config)
            entry = AddTimelineEntry("settings updated", ", ".join(changed))
            return [SaveSettings(config), entry]
        case events.SettingsRefused(detail):
            return _rejection(detail)
        case steering.TransferFinished(failure):
            conversation.on_transfer_failed()
            what = f"The call could not be transferred: {failure}. The caller is still with you."
            return _inform_model(what, conversation, now)
        case events.DigitsFailed(reason):
            return _inform_model(f"The keys could not be pressed: {reason}.", conversation, now)
        case events.MessageLost():
            what = "The message could not be stored after all: tell the caller."
            return _inform_model(what, conversation, now)


def _update(update: Update, conversation: Conversation) -> list[BridgeCommand]:
    """Apply new settings. A used voice cannot change, and would make the server refuse the whole
    update (OpenAI, `cannot_update_voice`)."""
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
    """Let a muted agent speak its last words."""
    if not words.has_words:
        return [end]
    return [*conversation.unmute(now), *_finish(end, words, conversation, now)]


def _finish(
    command: BridgeCommand, words: CreateResponse, conversation: Conversation, now: float
) -> list[BridgeCommand]:
    """Execute the command when everything has been said, including the last words."""
    conversation.after_playback(command, now)
    return conversation.request_response(words, Purpose.GOODBYE, now) if words.has_words else []


def _inform_model(what: str, conversation: Conversation, now: float) -> list[BridgeCommand]:
    """Inform the model, so that it can speak about the event."""
    return [
        AddMessage(Role.SYSTEM, what),
        *conversation.request_response(CreateResponse(), Purpose.NOTICE, now),
    ]
