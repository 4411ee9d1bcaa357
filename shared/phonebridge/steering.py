"""What somebody may ask of the container that carries a call; `mailbox.py` takes it there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop the model's speech now."""


Steering = Interrupt
