"""What the fields of requests have in common."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from phonebridge.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class Form:
    """Of a text: the pattern for programs, and in words for whoever sends another."""

    pattern: str
    problem: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.custom_error_schema(
            core_schema.str_schema(pattern=self.pattern, strict=True),
            custom_error_type="form",
            custom_error_message=self.problem,
        )


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NotBlank = AfterValidator(_not_blank)

E164 = Form(r"^\+[1-9][0-9]{1,14}$", "must be a number in E.164 form, such as +15550100")
PhoneNumber = Annotated[str, E164, Field(description="E.164", examples=["+15550100"])]


class InvalidField(RequestRefused):
    """A field that is well-formed, yet not what these settings allow."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StrictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
