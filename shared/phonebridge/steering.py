"""What the container that carries a call may be told; `mailbox.py` takes it there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop the model's speech now."""


@dataclass(frozen=True, slots=True)
class TransferSettled:
    """The caller was connected with the target, or why not."""

    failure: str | None


Steering = Interrupt | TransferSettled
