"""What a call does when it is told something from outside: by the API, or by the carrier."""

from dataclasses import replace

from media_bridge import events
from media_bridge.commands import (
    AddText,
    BridgeCommand,
    EndCall,
    Log,
    Note,
    Respond,
    Role,
    TransferCall,
    UpdateSession,
)
from media_bridge.conversation import Conversation
from media_bridge.responses import Purpose
from phonebridge import steering
from phonebridge.call import EndedBy
from phonebridge.steering import Steering, Update


def told(command: Steering) -> events.BridgeEvent:
    """What a command from the mailbox is to the bridge."""
    match command:
        case steering.Interrupt():
            return events.InterruptAsked()
        case steering.Say():
            request = Respond(saying=command.words, guidance=command.instruction)
            return events.SayAsked(request, command.interrupt)
        case steering.Update():
            return events.UpdateAsked(command)
        case steering.Mute(side, muted):
            return events.MuteAsked(side, muted)
        case steering.Transfer():
            transfer = TransferCall(command.to, command.summary, command.from_)
            return events.TransferAsked(transfer, command.words)
        case steering.HangUp(words):
            return events.EndAsked(EndedBy.API, words)
        case _:
            return _news(command)


def _news(command: steering.News) -> events.BridgeEvent:
    """Of the carrier's."""
    match command:
        case steering.Answered():
            return events.AnswerReported()
        case steering.MachineAnswered(greeting_over):
            return events.MachineAnswered(greeting_over)
        case steering.TransferSettled(None):
            return events.LeaveAsked()
        case steering.TransferSettled(failure):
            return events.TransferFailed(failure or "")


def needs_model(event: events.SteeringEvent) -> bool:
    """Whether the model must be ready for it: who has to speak, for one."""
    match event:
        case events.EndAsked(_, saying, guidance):
            return bool(saying or guidance)
        case events.InterruptAsked():
            return False
        case _:
            return True


def steered(event: events.SteeringEvent, talk: Conversation, now: float) -> list[BridgeCommand]:
    match event:
        case events.InterruptAsked():
            return talk.interrupt(now)
        case events.SayAsked(request, interrupt):
            say = talk.cut_in if interrupt else talk.ask
            return say(request, Purpose.SAY, now)
        case events.MuteAsked(_, muted):
            return talk.mute(now) if muted else talk.reply.unmute(now)
        case events.UpdateAsked(update):
            return _update(update, talk)
        case events.TransferAsked(transfer, saying):
            return _finish(transfer, Respond(saying=saying), talk, now)
        case events.EndAsked(by, saying, guidance):
            return _end(EndCall(by), Respond(saying, guidance), talk, now)
        case _:
            return _settled(event, talk, now)


def _settled(event: events.OutcomeEvent, talk: Conversation, now: float) -> list[BridgeCommand]:
    """What became of something that was asked for."""
    match event:
        case events.SettingsUpdated(config, changed):
            talk.config = config
            return [Note("settings updated", ", ".join(changed))]
        case events.SettingsRefused(detail):
            return _refused(detail)
        case events.TransferFailed(reason):
            talk.hands_over = False
            what = f"The call could not be transferred: {reason}. The caller is still with you."
            return _tell_model(what, talk, now)
        case events.DigitsFailed(reason):
            return _tell_model(f"The keys could not be pressed: {reason}.", talk, now)
        case events.MessageLost():
            what = "The message could not be stored after all: tell the caller."
            return _tell_model(what, talk, now)


def _update(update: Update, talk: Conversation) -> list[BridgeCommand]:
    """A voice that was heard cannot change, and would take the rest of the update along (OpenAI,
    `cannot_update_voice`)."""
    commands: list[BridgeCommand] = []
    if update.voice and talk.has_spoken:
        update = replace(update, voice=None)
        commands += _refused("voice: the agent has already spoken")
    if update.changes:
        commands.append(UpdateSession(update))
    return commands


def _refused(detail: str) -> list[BridgeCommand]:
    return [Log("warning", "update refused", detail), Note("update refused", detail)]


def _end(end: EndCall, words: Respond, talk: Conversation, now: float) -> list[BridgeCommand]:
    """Last words are heard of a muted agent too."""
    if not words.has_words:
        return [end]
    return [*talk.reply.unmute(now), *_finish(end, words, talk, now)]


def _finish(
    command: BridgeCommand, words: Respond, talk: Conversation, now: float
) -> list[BridgeCommand]:
    """When all has been said, last words included."""
    talk.once_quiet(command, now)
    return talk.ask(words, Purpose.GOODBYE, now) if words.has_words else []


def _tell_model(what: str, talk: Conversation, now: float) -> list[BridgeCommand]:
    """So that it can speak about it."""
    return [AddText(Role.SYSTEM, what), *talk.ask(Respond(), Purpose.NOTICE, now)]
