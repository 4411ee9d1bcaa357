"""What a call does when it is told something from outside: by the API, or by the carrier."""

from media_bridge import events
from media_bridge.commands import AddText, BridgeCommand, EndCall, Respond, Role
from media_bridge.conversation import Conversation


def steered(event: events.SteeringEvent, talk: Conversation, now: float) -> list[BridgeCommand]:
    match event:
        case events.InterruptAsked():
            return talk.interrupt(now)
        case events.EndAsked(by, saying, guidance):
            return _end(EndCall(by), Respond(saying, guidance), talk, now)
        case events.TransferFailed(reason):
            told = f"The call could not be transferred: {reason}. The caller is still with you."
            return _tell_model(told, talk)
        case events.DigitsFailed(reason):
            return _tell_model(f"The keys could not be pressed: {reason}.", talk)


def needs_words(event: events.SteeringEvent) -> bool:
    """Whether the model must speak because of it, which it cannot before it is ready."""
    match event:
        case events.EndAsked(_, saying, guidance):
            return bool(saying or guidance)
        case events.TransferFailed() | events.DigitsFailed():
            return True
        case events.InterruptAsked():
            return False


def _end(end: EndCall, words: Respond, talk: Conversation, now: float) -> list[BridgeCommand]:
    if not words.has_words:
        return [end]
    talk.once_quiet(end, now)
    return talk.ask(words)


def _tell_model(what: str, talk: Conversation) -> list[BridgeCommand]:
    """So that it can speak about it."""
    return [AddText(Role.SYSTEM, what), *talk.ask(Respond())]
