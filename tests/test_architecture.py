"""The house's rules: who may import whom, what the core must not know, where errors are caught.

What a module imports is read from its text, so an import inside a function counts too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "phonebridge": ROOT / "shared/phonebridge",
    "media_bridge": ROOT / "media_container/media_bridge",
    "simulators": ROOT / "local/simulators",
}
FUNCTIONS = ROOT / "functions"
LOCAL = ROOT / "local"

# Values in, values out: the conversation's rules, a call's life, the wire.
CORE = [
    "shared/phonebridge/answering.py",
    "shared/phonebridge/call.py",
    "shared/phonebridge/call_commands.py",
    "shared/phonebridge/call_events.py",
    "shared/phonebridge/turn.py",
    "shared/phonebridge/addresses.py",
    "shared/phonebridge/billing.py",
    "shared/phonebridge/call_config.py",
    "shared/phonebridge/steering.py",
    "shared/phonebridge/lifecycle.py",
    "shared/phonebridge/facts.py",
    "shared/phonebridge/outcome.py",
    "shared/phonebridge/overdue.py",
    "shared/phonebridge/notice.py",
    "shared/phonebridge/recording.py",
    "shared/phonebridge/server_url.py",
    "shared/phonebridge/signature.py",
    "functions/prices.py",
    "shared/phonebridge/stream_token.py",
    "shared/phonebridge/tools.py",
    "shared/phonebridge/transfer.py",
    "shared/phonebridge/telnyx/call_control.py",
    "shared/phonebridge/telnyx/leg_name.py",
    "shared/phonebridge/telnyx/media.py",
    "shared/phonebridge/telnyx/refusals.py",
    "shared/phonebridge/telnyx/tolerant_json.py",
    "shared/phonebridge/telnyx/webhook.py",
    "shared/phonebridge/telnyx/webhook_payloads.py",
    "shared/phonebridge/telnyx/webhook_signature.py",
    *(
        f"media_container/media_bridge/{name}.py"
        for name in (
            "afterwards",
            "audio",
            "barge_in",
            "bridge",
            "built_in",
            "clip_recorder",
            "clip_words",
            "clips",
            "commands",
            "conversation",
            "events",
            "greeting",
            "hearing",
            "idle",
            "keypad",
            "latency",
            "mcp",
            "agent_speech",
            "clip_player",
            "clips",
            "pending_reply",
            "heard_words",
            "line",
            "model_session",
            "order",
            "playback",
            "playout",
            "responses",
            "retry_budget",
            "time_limit",
            "steering",
            "stopped",
            "tools",
            "stream_start",
            "turns",
            "unended_speech",
            "voicemail",
            "openai/protocol",
            "openai/realtime",
            "openai/retry_delay",
            "openai/session",
            "openai/updates",
            "openai/tools",
        )
    ),
]
INPUT_AND_OUTPUT = {
    "asyncio",
    "boto3",
    "botocore",
    "http",
    "httpx",
    "os",
    "picows",
    "random",
    "requests",
    "socket",
    "starlette",
    "subprocess",
    "threading",
    "time",
    "urllib3",
    "uvicorn",
    "websockets",
}

# A process, a thread of work, or a call has its border here: what goes wrong within stays within.
CATCH_EVERYTHING = {
    "functions/sweep_calls.py",
    "functions/telnyx_webhook.py",
    "local/gateway.py",
    "local/queues.py",
    "media_container/media_bridge/records.py",
    "media_container/media_bridge/server.py",
    "media_container/media_bridge/session.py",
    "media_container/media_bridge/toolbox.py",
    "media_container/media_bridge/turn_log.py",
    "shared/phonebridge/switchboard.py",
}

# Tested through what they are a part of, by the test named.
TESTED_ELSEWHERE = {
    "shared/phonebridge/call_commands.py": "tests/phonebridge/test_lifecycle.py",
    "shared/phonebridge/call_config.py": "tests/phonebridge/test_store.py",
    "shared/phonebridge/call_events.py": "tests/phonebridge/test_lifecycle.py",
    "shared/phonebridge/steering.py": "tests/phonebridge/test_mailbox.py",
    "shared/phonebridge/facts.py": "tests/phonebridge/test_lifecycle.py",
    "shared/phonebridge/ports.py": "tests/phonebridge/test_switchboard.py",
    "shared/phonebridge/outcome.py": "tests/phonebridge/test_lifecycle.py",
    "shared/phonebridge/transfer.py": "tests/phonebridge/test_lifecycle.py",
    "shared/phonebridge/telnyx/leg_name.py": "tests/phonebridge/telnyx/test_webhook.py",
    "shared/phonebridge/telnyx/refusals.py": "tests/phonebridge/telnyx/test_client.py",
    "shared/phonebridge/telnyx/webhook_payloads.py": "tests/phonebridge/telnyx/test_webhook.py",
    "shared/phonebridge/notice.py": "tests/functions/test_outcomes.py",
    "shared/phonebridge/recording.py": "tests/phonebridge/telnyx/test_webhook.py",
    "media_container/media_bridge/clips.py": "tests/media_bridge/test_speech_cache.py",
    "functions/agent_settings.py": "tests/functions/test_ai_calls.py",
    "functions/model_settings.py": "tests/functions/test_ai_calls.py",
    "functions/call_records.py": "tests/functions/test_ai_calls.py",
    "functions/fields.py": "tests/functions/test_ai_calls.py",
    "shared/phonebridge/tools.py": "tests/phonebridge/test_store.py",
    "shared/phonebridge/turn.py": "tests/media_bridge/test_latency.py",
    "functions/server_fields.py": "tests/functions/test_tool_settings.py",
    "functions/declared_tools.py": "tests/functions/test_tool_settings.py",
    "shared/phonebridge/server_url.py": "tests/phonebridge/test_https_client.py",
    "functions/agent_answers.py": "tests/functions/test_agents.py",
    "functions/api_answers.py": "tests/functions/test_ai_calls.py",
    "functions/record_answers.py": "tests/functions/test_ai_calls.py",
    "functions/api_errors.py": "tests/functions/test_ai_calls.py",
    "functions/api_requests.py": "tests/functions/test_ai_calls.py",
    "media_container/media_bridge/openai/updates.py": (
        "tests/media_bridge/openai/test_protocol.py"
    ),
    "functions/steering_requests.py": "tests/functions/test_live_calls.py",
    "functions/control_plane.py": "tests/functions/test_ai_calls.py",
    **{
        f"local/diagnosis/{name}.py": "tests/local/test_doctor.py"
        for name in ("ailments", "carrier", "model", "reachability", "subject")
    },
    "local/demo.py": "tests/end_to_end/test_demo.py",
    **{
        f"local/deployment/{name}.py": "tests/local/test_deploy.py"
        for name in ("answers", "image", "plan", "preconditions", "stack")
    },
    "local/dev.py": "tests/end_to_end/test_dev.py",
    "local/aws_state.py": "tests/end_to_end/test_record.py",
    "functions/recordings.py": "tests/functions/test_copy_recording.py",
    "local/payload.py": "tests/local/test_gateway.py",
    "local/stack.py": "tests/end_to_end/test_calls.py",
    "local/simulators/openai_faults.py": "tests/simulators/test_openai.py",
    "local/simulators/openai_wire.py": "tests/simulators/test_openai.py",
    "media_container/media_bridge/__main__.py": "tests/media_bridge/test_main.py",
    "media_container/media_bridge/clip_player.py": "tests/media_bridge/test_pending_reply.py",
    "media_container/media_bridge/commands.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/events.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/agent_speech.py": "tests/media_bridge/test_conversation.py",
    "media_container/media_bridge/retry_budget.py": "tests/media_bridge/test_pending_reply.py",
    "media_container/media_bridge/speech_model.py": "tests/media_bridge/test_session.py",
}


def modules(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if path.name != "__init__.py")


def imported(path: Path) -> set[str]:
    """Top-level names of what the module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def every_module() -> list[Path]:
    folders = (FUNCTIONS, LOCAL, ROOT / "shared", ROOT / "media_container")
    return sorted(path for folder in folders for path in modules(folder))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_input_no_output_and_no_clock(module: str) -> None:
    assert not imported(ROOT / module) & INPUT_AND_OUTPUT


@pytest.mark.parametrize("module", CORE)
def test_the_core_reads_no_clock_through_datetime(module: str) -> None:
    calls = {
        node.attr
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert not calls & {"now", "utcnow", "today", "monotonic", "perf_counter"}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("phonebridge", {"media_bridge", "simulators", "ai_calls", "control_plane"}),
        ("media_bridge", {"simulators", "ai_calls", "control_plane"}),
        # A fault of ours must not cancel out with the same fault of its counterpart.
        ("simulators", {"phonebridge", "media_bridge", "control_plane"}),
    ],
)
def test_imports_point_inwards(package: str, forbidden: set[str]) -> None:
    for path in modules(PACKAGES[package]):
        assert not imported(path) & forbidden, relative(path)


def test_handlers_do_not_know_the_media_plane() -> None:
    for path in modules(FUNCTIONS):
        assert not imported(path) & {"media_bridge", "simulators"}, relative(path)


def test_what_is_shared_is_used_by_both_planes() -> None:
    """Directly, or by something shared that is."""
    control_only = {"secrets"}  # on AWS, ECS itself hands a container its secrets
    names = {path.stem for path in PACKAGES["phonebridge"].glob("*.py")} - {"__init__"}
    shared_text = "".join(path.read_text() for path in modules(PACKAGES["phonebridge"]))
    for plane in (FUNCTIONS, PACKAGES["media_bridge"]):
        text = shared_text + "".join(path.read_text() for path in modules(plane))
        unused = {name for name in names if f"phonebridge.{name} import" not in text}
        unused -= {name for name in unused if f"from phonebridge import {name}" in text}
        assert unused <= control_only


def test_everything_is_caught_only_at_a_border() -> None:
    catching = {
        relative(path)
        for path in every_module()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    }
    assert catching == CATCH_EVERYTHING


@pytest.mark.parametrize("path", every_module(), ids=relative)
def test_every_module_has_its_test(path: Path) -> None:
    place = relative(path)
    for folder in ("shared/", "media_container/"):
        place = place.removeprefix(folder)
    place = place.replace("local/simulators/", "simulators/")
    folder, _, name = place.rpartition("/")
    mirror = f"tests/{folder}/test_{name}"
    assert (ROOT / TESTED_ELSEWHERE.get(relative(path), mirror)).exists()


def test_no_exception_to_the_mirror_outlives_its_reason() -> None:
    for module in TESTED_ELSEWHERE:
        assert (ROOT / module).exists(), module
