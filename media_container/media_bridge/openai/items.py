"""Items of the conversation on the Realtime wire (OpenAI API reference, "Conversation item")."""

import msgspec
from msgspec import Raw, Struct

from media_bridge.openai import tolerant

_NULL = Raw(b"null")


class _Part(Struct, frozen=True):
    transcript: str | None = None
    """The words of sound. Texts have none."""


class ConversationItem(Struct, frozen=True):
    """An item of any type. Its fields depend on the type."""

    type: str
    id: str | None = None
    role: str | None = None
    status: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: Raw = _NULL
    server_label: str | None = None
    output: Raw = _NULL
    error: Raw = _NULL
    content: Raw = _NULL

    @property
    def transcript(self) -> str:
        """The words that are spoken in the item, as far as they are known."""
        parts = (tolerant.read(bytes(part), _PART) for part in _elements(self.content))
        return " ".join(part.transcript for part in parts if part and part.transcript)

    @property
    def arguments_text(self) -> str:
        """The arguments of a call. They are a string of JSON in the reference; some servers send
        the object itself."""
        arguments = tolerant.loads(bytes(self.arguments))
        if isinstance(arguments, str):
            return readable(arguments)
        return "" if arguments is None else msgspec.json.encode(arguments).decode()


_ITEM = msgspec.json.Decoder(ConversationItem)
_PART = msgspec.json.Decoder(_Part)


def read(raw: Raw) -> ConversationItem | None:
    """Return None for what is no item."""
    return tolerant.read(bytes(raw), _ITEM)


def read_all(raw: Raw) -> list[ConversationItem]:
    return [item for element in _elements(raw) if (item := read(element))]


def readable(arguments: str) -> str:
    """Repair JSON that the model wrote with halves of surrogate pairs, if that is possible."""
    try:
        msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        try:
            return msgspec.json.encode(tolerant.loads(arguments)).decode()
        except (ValueError, RecursionError):
            return arguments
    return arguments


def is_null(raw: Raw) -> bool:
    return bytes(raw) == b"null"


def _elements(raw: Raw) -> list[Raw]:
    try:
        return msgspec.json.decode(raw, type=list[Raw] | None) or []
    except (ValueError, RecursionError):
        return []
