"""What is wrong with a request, in words that its sender wrote or can read in the documents."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from control_plane.api.requests.agent_settings import AgentSettings, MachineSettings, NamedAgent
from control_plane.api.requests.create_call import CreateCall
from control_plane.api.requests.fields import StrictModel
from control_plane.api.requests.model_settings import SemanticVad, ServerVad, TranscriptionSettings
from control_plane.api.requests.steering import (
    DtmfRequest,
    HangUpRequest,
    MuteRequest,
    SayRequest,
    TransferRequest,
    UpdateRequest,
)
from control_plane.api.requests.tool_settings import (
    FunctionSettings,
    McpSettings,
    TransferTarget,
    TransferTool,
)
from control_plane.api.responses.agents import NumberResource
from control_plane.api.validation_messages import path_of, problem_of

MODELS: list[type[StrictModel]] = [
    *(
        AgentSettings,
        NamedAgent,
        CreateCall,
        NumberResource,
        MachineSettings,
        TranscriptionSettings,
    ),
    *(ServerVad, SemanticVad, FunctionSettings, McpSettings, TransferTarget, TransferTool),
    *(SayRequest, UpdateRequest, MuteRequest, TransferRequest, DtmfRequest, HangUpRequest),
]
WRONG: list[Any] = [
    *(None, True, -1, 0, 10**9, 0.5, "", " ", "?", "\ud800", "x" * 40_000),
    *([], [1], ["x"] * 200, [{}], {}, {"x": 1}, {"type": "x"}, {"type": 1}, {"\ud800": "x"}),
]
LIBRARY_WORDS = (
    *("input should", "should have", "should be", "should match", "extra inputs", "permitted"),
    *(
        "field required",
        "unable to",
        "value error",
        "discriminator",
        "pydantic",
        "^",
        "regex",
        "pattern",
    ),
    "is not valid here",
)


def problems(model: type[StrictModel], body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        model.model_validate(body)
    except ValidationError as error:
        for found in error.errors():
            located = {**found, "loc": ("body", *found["loc"])}
            yield path_of(located), problem_of(located)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_refusal_of_any_field_speaks_the_librarys_language(model: type[StrictModel]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    told = [
        (name, value, path, problem)
        for name in (*names, "unknown")
        for value in WRONG
        for path, problem in problems(model, {name: value})
    ]
    assert {path.partition(".")[0] for _, _, path, _ in told} >= {*names, "unknown"}
    leaks = [each for each in told if any(word in each[3].lower() for word in LIBRARY_WORDS)]
    assert leaks == []


@pytest.mark.parametrize(
    ("body", "path", "problem"),
    [
        ({"voic": "marin"}, "voic", "is unknown here; did you mean `voice`?"),
        ({"turnDetection": {}}, "turnDetection", "is unknown here; did you mean `turn_detection`?"),
        ({"xyz": 1}, "xyz", "is unknown here"),
        ({"codec": "pcmu"}, "codec", "must be one of `PCMU`, `PCMA`, `L16`"),
        ({"codec": "PCM"}, "codec", "must be one of `PCMU`, `PCMA`, `L16`; did you mean `PCMU`?"),
        ({"speed": "fast"}, "speed", "must be a number, not text"),
        ({"speed": 9}, "speed", "must be at most 1.5"),
        ({"fallback": {}}, "fallback.transfer_to", "is required without `say`"),
        (
            {"fallback": {"transfer_to": "reception"}},
            "fallback.transfer_to",
            "must be a number in E.164 form, such as +15550142, or a SIP URI, such as "
            "sip:desk@pbx.example",
        ),
        ({"idle_prompts": 1.5}, "idle_prompts", "must be a whole number"),
        ({"record": "yes"}, "record", "must be true or false, not text"),
        ({"greeting": ""}, "greeting", "must not be empty"),
        ({"greeting": "x" * 1001}, "greeting", "must have at most 1000 characters"),
        ({"tools": "end_call"}, "tools", "must be a list, not text"),
        ({"tools": ["end_call"] * 33}, "tools", "must have at most 32 entries"),
        ({"transcription": "whisper-1"}, "transcription", "must be an object, not text"),
        (
            {"turn_detection": {"type": "server_vat"}},
            "turn_detection.type",
            "must be one of `server_vad`, `semantic_vad`; did you mean `server_vad`?",
        ),
        (
            {"turn_detection": {"type": "server_vad", "treshold": 0.5}},
            "turn_detection.treshold",
            "is unknown here; did you mean `threshold`?",
        ),
        (
            {"tools": [{"name": "a", "url": "https://x.example", "header": {}}]},
            "tools.0.header",
            "is unknown here; did you mean `headers`?",
        ),
        (
            {"tools": [{"type": "transfer_call", "destinations": [{"too": "+15550100"}]}]},
            "tools.0.destinations.0.to",
            "is required",
        ),
        ({"metadata": {"mcp": 1}}, "metadata.mcp", "must be text, not a number"),
        ({"metadata": {"server_vad": 1}}, "metadata.server_vad", "must be text, not a number"),
        ({"metadata": {"type": None}}, "metadata.type", "must be text, not null"),
    ],
)
def test_a_refusal_names_the_path_and_suggests(
    body: dict[str, Any], path: str, problem: str
) -> None:
    assert (path, problem) in list(problems(CreateCall, {"to": "+15550100"} | body))
