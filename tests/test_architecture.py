"""The house's rules: who may import whom, what the core must not know, where errors are caught.

The rules themselves are in docs/diagrams/architecture.py, which also draws them. What a module
imports is read from its text, so an import inside a function counts too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagrams.architecture import (
    FORBIDDEN,
    INPUT_AND_OUTPUT,
    LAYERS,
    NOT_PURE,
    PURE,
    ROOT,
    arrows,
    folder,
    imports,
    modules,
    pure_modules,
    top_level,
)

# A process, a thread of work, or a call has its border here: what goes wrong within stays within.
CATCH_EVERYTHING = {
    "functions/sweep_calls.py",
    "functions/telnyx_webhook.py",
    "local/aws/gateway.py",
    "local/aws/queues.py",
    "media_container/media_bridge/runtime/write_queue.py",
    "media_container/media_bridge/runtime/heartbeat.py",
    "media_container/media_bridge/runtime/rescues.py",
    "media_container/media_bridge/runtime/server.py",
    "media_container/media_bridge/runtime/call_session.py",
    "media_container/media_bridge/runtime/model_socket.py",
    "media_container/media_bridge/runtime/tool_runner.py",
    "media_container/media_bridge/runtime/turn_writer.py",
    "shared/phonebridge/switchboard.py",
}

# Tested through what they are a part of, by the test named.
TESTED_ELSEWHERE = {
    "functions/control_plane/api/calls.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/browser_calls.py": (
        "tests/functions/control_plane/api/test_browser_calls.py"
    ),
    "functions/control_plane/outcome_request.py": "tests/functions/test_send_outcome.py",
    "functions/control_plane/placing.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/sweeping.py": "tests/functions/test_sweep_calls.py",
    "functions/control_plane/webhooks.py": "tests/functions/test_telnyx_webhook.py",
    "functions/control_plane/api/errors.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/requests/agent_settings.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/requests/browser_call.py": (
        "tests/functions/control_plane/api/test_browser_calls.py"
    ),
    "functions/control_plane/api/responses/browser_calls.py": (
        "tests/functions/control_plane/api/test_browser_calls.py"
    ),
    "functions/control_plane/api/requests/create_call.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/requests/declared_tools.py": (
        "tests/functions/control_plane/api/requests/test_tool_settings.py"
    ),
    "functions/control_plane/api/requests/fields.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/requests/model_settings.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/requests/steering.py": (
        "tests/functions/control_plane/api/test_live_calls.py"
    ),
    "functions/control_plane/api/responses/agents.py": (
        "tests/functions/control_plane/api/test_agents.py"
    ),
    "functions/control_plane/api/responses/calls.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/api/responses/record.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/call_record.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/recording_download.py": "tests/functions/test_copy_recording.py",
    "functions/control_plane/recordings.py": "tests/functions/test_copy_recording.py",
    "functions/control_plane/api/requests/server_fields.py": (
        "tests/functions/control_plane/api/requests/test_tool_settings.py"
    ),
    "functions/control_plane/services.py": "tests/functions/test_ai_calls.py",
    "functions/control_plane/task_sweep.py": "tests/functions/test_sweep_calls.py",
    "local/aws/payload.py": "tests/local/aws/test_gateway.py",
    "local/aws/processes.py": "tests/end_to_end/test_calls.py",
    "local/aws/stack.py": "tests/end_to_end/test_calls.py",
    "local/aws/state.py": "tests/end_to_end/test_record.py",
    "local/real_phone.py": "tests/local/test_dev.py",
    "local/demo.py": "tests/end_to_end/test_demo.py",
    "local/demo_checks.py": "tests/end_to_end/test_demo.py",
    "local/deployment/answers.py": "tests/local/test_deploy.py",
    "local/deployment/image.py": "tests/local/test_deploy.py",
    "local/deployment/leftovers.py": "tests/local/deployment/test_operation.py",
    "local/deployment/plan.py": "tests/local/test_deploy.py",
    "local/deployment/preconditions.py": "tests/local/test_deploy.py",
    "local/deployment/prompts.py": "tests/local/test_deploy.py",
    "local/deployment/problems.py": "tests/local/test_deploy.py",
    "local/deployment/public_dns.py": "tests/local/deployment/test_names.py",
    "local/deployment/stack.py": "tests/local/test_deploy.py",
    "local/doctor_checks/alarms.py": "tests/local/test_doctor_alarms.py",
    "local/doctor_checks/carrier.py": "tests/local/test_doctor.py",
    "local/doctor_checks/config.py": "tests/local/test_doctor.py",
    "local/doctor_checks/findings.py": "tests/local/test_doctor.py",
    "local/doctor_checks/model.py": "tests/local/test_doctor.py",
    "local/doctor_checks/reachability.py": "tests/local/test_doctor.py",
    "local/doctor_checks/services.py": "tests/local/test_doctor.py",
    "local/proving/line.py": "tests/local/proving/test_interview.py",
    "local/proving/line_questions.py": "tests/local/proving/test_interview.py",
    "local/proving/questions.py": "tests/local/proving/test_report.py",
    "local/proving/receiver.py": "tests/local/proving/test_interview.py",
    "local/proving/stream_questions.py": "tests/local/proving/test_interview.py",
    "local/simulators/openai/__main__.py": "tests/simulators/openai/test_server.py",
    "local/simulators/openai/faults.py": "tests/simulators/openai/test_server.py",
    "local/simulators/openai/wire.py": "tests/simulators/openai/test_server.py",
    "local/simulators/telnyx/__main__.py": "tests/simulators/telnyx/test_server.py",
    "local/simulators/telnyx/call_streams.py": "tests/simulators/telnyx/test_call.py",
    "local/simulators/telnyx/undocumented.py": "tests/local/proving/test_interview.py",
    "media_container/media_bridge/__main__.py": "tests/media_bridge/test_main.py",
    "media_container/media_bridge/audio/loudness.py": (
        "tests/media_bridge/speech/test_word_alignment.py"
    ),
    "media_container/media_bridge/browser_frames.py": (
        "tests/media_bridge/runtime/test_browser_sockets.py"
    ),
    "media_container/media_bridge/conversation/call_view.py": (
        "tests/media_bridge/test_browser_bridge.py"
    ),
    "media_container/media_bridge/commands.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/conversation/call_end.py": (
        "tests/media_bridge/conversation/test_last_words.py"
    ),
    "media_container/media_bridge/conversation/call_parts.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/conversation/owed_reply.py": (
        "tests/media_bridge/conversation/test_pending_reply.py"
    ),
    "media_container/media_bridge/conversation/talk.py": (
        "tests/media_bridge/conversation/test_conversation.py"
    ),
    "media_container/media_bridge/conversation/clip_player.py": (
        "tests/media_bridge/conversation/test_pending_reply.py"
    ),
    "media_container/media_bridge/conversation/active_response.py": (
        "tests/media_bridge/conversation/test_pending_reply.py"
    ),
    "media_container/media_bridge/conversation/retry_budget.py": (
        "tests/media_bridge/conversation/test_pending_reply.py"
    ),
    "media_container/media_bridge/deadline.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/events.py": "tests/media_bridge/test_bridge.py",
    "media_container/media_bridge/openai/updates.py": (
        "tests/media_bridge/openai/test_protocol.py"
    ),
    "media_container/media_bridge/runtime/call_claims.py": (
        "tests/media_bridge/runtime/test_server.py"
    ),
    "media_container/media_bridge/runtime/session_bridge.py": (
        "tests/media_bridge/runtime/test_call_session.py"
    ),
    "media_container/media_bridge/runtime/phone_socket.py": (
        "tests/media_bridge/runtime/test_server.py"
    ),
    "media_container/media_bridge/runtime/call_records.py": (
        "tests/media_bridge/runtime/test_call_session.py"
    ),
    "media_container/media_bridge/runtime/model_port.py": (
        "tests/media_bridge/runtime/test_call_session.py"
    ),
    "media_container/media_bridge/tool_events.py": (
        "tests/media_bridge/conversation/test_tool_calls.py"
    ),
    "media_container/media_bridge/openai/responses.py": (
        "tests/media_bridge/openai/test_protocol.py"
    ),
    "media_container/media_bridge/conversation/tool_batch.py": (
        "tests/media_bridge/conversation/test_tool_calls.py"
    ),
    "media_container/media_bridge/runtime/retries.py": (
        "tests/media_bridge/runtime/test_write_queue.py"
    ),
    "media_container/media_bridge/runtime/services.py": (
        "tests/media_bridge/runtime/test_call_session.py"
    ),
    "media_container/media_bridge/speech/agent_audio.py": (
        "tests/media_bridge/conversation/test_conversation.py"
    ),
    "media_container/media_bridge/speech/clips.py": (
        "tests/media_bridge/runtime/test_speech_cache.py"
    ),
    "shared/phonebridge/jobs.py": "tests/functions/control_plane/test_jobs.py",
    "shared/phonebridge/call/commands.py": "tests/phonebridge/call/test_lifecycle.py",
    "shared/phonebridge/call/config.py": "tests/phonebridge/storage/test_call_store.py",
    "shared/phonebridge/call/events.py": "tests/phonebridge/call/test_lifecycle.py",
    "shared/phonebridge/call/facts.py": "tests/phonebridge/call/test_lifecycle.py",
    "shared/phonebridge/call/outcome.py": "tests/phonebridge/call/test_lifecycle.py",
    "shared/phonebridge/call/resume.py": "tests/media_bridge/conversation/test_history.py",
    "shared/phonebridge/call/recording.py": "tests/phonebridge/telnyx/test_webhook.py",
    "shared/phonebridge/call/reports.py": "tests/phonebridge/test_switchboard.py",
    "shared/phonebridge/call/steering.py": "tests/phonebridge/storage/test_mailbox.py",
    "shared/phonebridge/call/tools.py": "tests/phonebridge/storage/test_call_store.py",
    "shared/phonebridge/call/transfer.py": "tests/phonebridge/call/test_lifecycle.py",
    "shared/phonebridge/call/turn.py": "tests/media_bridge/speech/test_response_latency.py",
    "shared/phonebridge/telnyx/command_results.py": "tests/phonebridge/test_switchboard.py",
    "shared/phonebridge/call/webhook_delivery.py": (
        "tests/functions/control_plane/test_outcome_webhook.py"
    ),
    "shared/phonebridge/http/server_url.py": "tests/phonebridge/http/test_public_client.py",
    "shared/phonebridge/ports.py": "tests/phonebridge/test_switchboard.py",
    "shared/phonebridge/storage/call_items.py": "tests/phonebridge/storage/test_call_store.py",
    "shared/phonebridge/telnyx/announcements.py": "tests/phonebridge/telnyx/test_call_control.py",
    "shared/phonebridge/telnyx/leg_name.py": "tests/phonebridge/telnyx/test_webhook.py",
    "shared/phonebridge/telnyx/request_bodies.py": "tests/phonebridge/telnyx/test_call_control.py",
    "shared/phonebridge/telnyx/refusals.py": "tests/phonebridge/telnyx/test_client.py",
    "shared/phonebridge/telnyx/webhook_payloads.py": "tests/phonebridge/telnyx/test_webhook.py",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def every_module() -> list[Path]:
    folders = ("functions", "local", "shared", "media_container")
    found = (path for each in folders for path in (ROOT / each).rglob("*.py"))
    return sorted(path for path in found if path.name != "__init__.py")


@pytest.mark.parametrize("path", pure_modules(), ids=relative)
def test_the_core_knows_no_input_no_output_and_no_clock(path: Path) -> None:
    assert not top_level(path) & INPUT_AND_OUTPUT


def written_attributes(tree: ast.Module) -> Iterator[str]:
    """The targets of all assignments to attributes, such as `self._conversation.config`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", modules("media_bridge").values(), ids=relative)
def test_nothing_outside_a_conversation_writes_its_attributes(path: Path) -> None:
    written = written_attributes(ast.parse(path.read_text()))
    assert [each for each in written if re.search(r"\bconversation\.|_conversation\.", each)] == []


@pytest.mark.parametrize("path", pure_modules(), ids=relative)
def test_the_core_reads_no_clock_through_datetime(path: Path) -> None:
    attributes = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert not attributes & {"now", "utcnow", "today", "monotonic", "perf_counter"}


def test_every_rule_about_purity_is_about_some_module() -> None:
    for pattern in (*PURE, *NOT_PURE):
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_inwards(package: str) -> None:
    handlers = {path.stem for path in (ROOT / "functions").glob("*.py")}
    for path in modules(package).values():
        assert not top_level(path) & (FORBIDDEN[package] | handlers), relative(path)


def test_handlers_do_not_know_the_media_plane() -> None:
    for path in (ROOT / "functions").glob("*.py"):
        assert not top_level(path) & FORBIDDEN["control_plane"], relative(path)


@pytest.mark.parametrize("package", LAYERS)
def test_a_layer_imports_only_from_layers_before_it(package: str) -> None:
    order = LAYERS[package]
    found = arrows(package)
    assert set(found) == set(order)
    upwards = {
        (source, target)
        for source, targets in found.items()
        for target in targets
        if order.index(target) > order.index(source)
    }
    assert upwards == set()


def used_from_shared(plane: Iterator[Path]) -> set[str]:
    """Packages of `phonebridge` that a plane imports, directly or by way of another one."""
    waiting = [name for path in plane for name in imports(path) if name.startswith("phonebridge.")]
    shared, seen = modules("phonebridge"), set[str]()
    while waiting:
        name = waiting.pop()
        if name in shared and name not in seen:
            seen.add(name)
            waiting += [each for each in imports(shared[name]) if each.startswith("phonebridge.")]
    return {name.split(".")[1] for name in seen}


def test_a_package_is_shared_if_and_only_if_both_planes_import_it() -> None:
    every = set(LAYERS["phonebridge"])
    assert used_from_shared((ROOT / "functions").rglob("*.py")) == every
    assert used_from_shared(folder("media_bridge").rglob("*.py")) == every


def test_everything_is_caught_only_at_a_border() -> None:
    catching = {
        relative(path)
        for path in every_module()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    }
    assert catching == CATCH_EVERYTHING


def mirror(module: str) -> str:
    """The test of a module lies where the module lies, below tests/."""
    for prefix in ("shared/", "media_container/"):
        module = module.removeprefix(prefix)
    parent, _, name = module.replace("local/simulators/", "simulators/").rpartition("/")
    return f"tests/{parent}/test_{name}"


@pytest.mark.parametrize("path", every_module(), ids=relative)
def test_every_module_has_its_test(path: Path) -> None:
    module = relative(path)
    assert (ROOT / TESTED_ELSEWHERE.get(module, mirror(module))).exists()


def test_no_exception_to_the_mirror_outlives_its_reason() -> None:
    for module in TESTED_ELSEWHERE:
        assert (ROOT / module).exists(), module
        assert not (ROOT / mirror(module)).exists(), module
