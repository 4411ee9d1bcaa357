"""Types that the fields of requests share."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from phonebridge.errors import RequestRefused

PLAIN = "plain"
"""The type of errors whose message is already in our own words."""


MAX_COMPARED = 100
"""Maximum length of a word for which a similar one is suggested."""


def did_you_mean(written: object, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the nearest known word, or nothing."""
    if not isinstance(written, str) or len(written) > MAX_COMPARED:
        return ""
    near = difflib.get_close_matches(written, known, 1)
    return f"; did you mean `{near[0]}`?" if near else ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern for programs, and the same rule in words for people."""

    regex: str
    problem: str
    choices: tuple[str, ...] = ()
    """Words that match. The nearest is suggested if a value does not match."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self._validate, core_schema.str_schema(pattern=self.regex, strict=True)
        )

    def _validate(self, value: Any, validate: core_schema.ValidatorFunctionWrapHandler) -> str:
        try:
            text: str = validate(value)
        except ValidationError as error:
            problem = self.problem + did_you_mean(value, self.choices)
            raise PydanticCustomError(PLAIN, "{problem}", {"problem": problem}) from error
        return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NotBlank = AfterValidator(_not_blank)

E164 = Pattern(r"^\+[1-9][0-9]{1,14}$", "must be a number in E.164 form, such as +15550100")
PhoneNumber = Annotated[
    str,
    E164,
    Field(description="A phone number in E.164 form.", examples=["+15550100"]),
]
Target = Annotated[
    str,
    Pattern(
        r"^(\+[1-9][0-9]{1,14}|sips?:[^\s@<>]{1,64}@[^\s@<>]{1,190})$",
        "must be a number in E.164 form, such as +15550142, or a SIP URI, such as "
        "sip:desk@pbx.example",
    ),
    Field(description="A number in E.164 form, or a SIP URI.", examples=["+15550142"]),
]


READ_ONLY: dict[str, Any] = {"readOnly": True}
IN_PATH = Field(
    description="Same as in the path. Requests may omit it.", json_schema_extra=READ_ONLY
)
ChangedAt = Annotated[
    datetime | None,
    Field(
        strict=False,
        description="When it was last changed. Ignored in requests.",
        json_schema_extra=READ_ONLY,
    ),
]


class InvalidField(RequestRefused):
    """A field has a valid format, but other settings do not allow its value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StrictModel(BaseModel):
    """A request body. Unknown fields are refused by name, because a misspelt field would have no
    effect."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _suggest_fields(cls, value: Any, validate: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            names = [each.alias or name for name, each in cls.model_fields.items()]
            details = [_with_suggestion(each, names) for each in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from error


def _with_suggestion(error: Any, names: list[str]) -> InitErrorDetails:
    """Add a suggestion to an error about an unknown field of this model."""
    kind: str | PydanticCustomError = error["type"]
    if kind == "extra_forbidden" and len(error["loc"]) == 1:
        problem = "is unknown here" + did_you_mean(error["loc"][0], names)
        kind = PydanticCustomError(PLAIN, "{problem}", {"problem": problem})
    elif kind == PLAIN:
        kind = PydanticCustomError(PLAIN, "{problem}", error["ctx"])
    return InitErrorDetails(
        type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {})
    )
