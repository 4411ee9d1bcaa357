"""The tree at the top of the module is the one below it."""

import re

from phonebridge import errors
from phonebridge.errors import PhonebridgeError, TelnyxRefused, UnknownCall, WrongState


def documented_parents() -> dict[str, str]:
    """Child -> parent, by the indentation of the docstring's bullets."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for indent, names in re.findall(r"^( *)\* ([A-Z][\w, ]*)", errors.__doc__ or "", re.MULTILINE):
        for name in names.split(", "):
            parents[name] = above.get(len(indent) - 4, "Exception")
            above[len(indent)] = name
    return parents


def defined_parents(root: type[Exception]) -> dict[str, str]:
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    parents = {cls.__name__: root.__name__ for cls in below}
    for cls in below:
        parents |= defined_parents(cls)
    return parents


def test_the_docstring_lists_every_error_under_its_parent() -> None:
    defined = {"PhonebridgeError": "Exception"} | defined_parents(PhonebridgeError)
    assert documented_parents() == defined


def test_messages_say_what_a_person_needs() -> None:
    assert "call-1" in str(UnknownCall("call-1"))
    assert str(WrongState("call-1", "ended", "only a live call can be interrupted")) == (
        "Call call-1 is ended; only a live call can be interrupted."
    )


def test_the_carriers_own_words_are_kept() -> None:
    error = TelnyxRefused(403, "10010", "Authorization failed", "No permission (D60)")
    assert str(error) == "Telnyx refused (403, 10010): No permission (D60)"
    assert str(TelnyxRefused(422, "10016", "Not E.164")).endswith("Not E.164")
    assert (error.http_status, error.code, error.title) == (403, "10010", "Authorization failed")
