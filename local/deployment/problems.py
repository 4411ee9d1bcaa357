"""The problems that the checks before a deployment find."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """The deployment cannot succeed like this."""

    what: str
    how: str

    def __str__(self) -> str:
        return f"  {self.what}: {self.how}"


@dataclass(frozen=True, slots=True)
class Doubt:
    """The deployment may succeed: something could not be checked, or will be tight."""

    what: str
    how: str

    def __str__(self) -> str:
        return f"  note: {self.what}: {self.how}"


Problem = Missing | Doubt
