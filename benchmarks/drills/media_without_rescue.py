"""A media container that never asks for the next stream: it shows what the drills find without."""

from typing import Any

from media_bridge.__main__ import main
from media_bridge.runtime.rescues import Rescues


def _do_nothing(self: Rescues, *_: Any, **__: Any) -> None:
    pass


if __name__ == "__main__":
    Rescues.start = _do_nothing  # type: ignore[method-assign]
    main()
