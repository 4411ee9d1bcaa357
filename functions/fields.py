"""What the fields of requests have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from phonebridge.errors import RequestRefused

E164 = r"^\+[1-9][0-9]{1,14}$"
PhoneNumber = Annotated[str, Field(pattern=E164, description="E.164", examples=["+15550100"])]


class InvalidField(RequestRefused):
    """A field that is well-formed, yet not what these settings allow."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StrictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
