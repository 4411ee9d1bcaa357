"""A figure of the image, and its budget."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    what: str
    value: float
    budget: float
    unit: str

    @property
    def is_within(self) -> bool:
        return self.value <= self.budget

    def __str__(self) -> str:
        verdict = "ok  " if self.is_within else "OVER"
        return f"{verdict}  {self.what:<40} {self.value:8.2f} {self.unit} (≤ {self.budget:g})"
