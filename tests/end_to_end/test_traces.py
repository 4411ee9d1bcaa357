"""One call is one trace with spans of the API, the webhooks and the container."""

from pathlib import Path
from typing import Any

from tests.support.otlp_receiver import otlp_receiver
from tests.support.waiting import until
from tests.support.whole_calls import whole_system


async def test_a_call_is_one_trace_across_lambdas_and_container(tmp_path: Path) -> None:
    with otlp_receiver() as received:
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}
        async with whole_system(tmp_path, given) as system:
            call_id = await system.dialled("+15550123")
            record = await system.ended(call_id)
            assert record["outcome"] == "completed"
        await until(lambda: "media session" in names(received.spans))
        assert {span["traceId"] for span in received.spans} == {call_id.replace("-", "")}
        assert names(received.spans) >= {
            "call",
            "POST /api/ai-calls/create",
            "telnyx Dial",
            "webhook call.answered",
            "telnyx StartStreaming",
            "media session",
            "model connect",
            "turn of agent",
            "turn of caller",
            "webhook call.hangup",
        }
        [whole] = [span for span in received.spans if span["name"] == "call"]
        for span in received.spans:
            if span is not whole:
                assert span["parentSpanId"] == whole["spanId"]
            assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        session = next(span for span in received.spans if span["name"] == "media session")
        turns = [span for span in received.spans if span["name"].startswith("turn of")]
        for turn in turns:
            assert session["startTimeUnixNano"] <= turn["startTimeUnixNano"]
        assert received.services() == {"phonebridge control-plane", "phonebridge media-bridge"}


def names(spans: list[dict[str, Any]]) -> set[str]:
    return {span["name"] for span in spans}
