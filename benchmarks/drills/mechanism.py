"""The switches: each disables one mechanism that keeps calls alive or records right. A test shows
that the drills report losses then, so that a drill which finds nothing has looked.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Any


class Mechanism(StrEnum):
    NONE = "none"

    @contextmanager
    def disabled(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, part in _PARTS[self]():
                stack.enter_context(replaced(owner, name, part))
            yield


@contextmanager
def replaced(owner: Any, name: str, part: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, part)
    try:
        yield
    finally:
        setattr(owner, name, before)


Parts = Callable[[], list[tuple[Any, str, Any]]]

_PARTS: dict[Mechanism, Parts] = {
    Mechanism.NONE: list,
}
