"""Spans as a collector receives them, and what happens without a collector."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from phonebridge.errors import NotConfigured
from phonebridge.observability.log import logger
from phonebridge.observability.tracing import MAX_SPANS, Collector, Span, Tracer, trace_id
from tests.support.clock import Clock
from tests.support.otlp_receiver import ReceivedTraces, otlp_receiver

CALL_ID = "c0ffee00-0000-4000-8000-000000000001"
LOG = logger("tracing")


@pytest.fixture
def received() -> Iterator[ReceivedTraces]:
    with otlp_receiver() as received:
        yield received


def tracer(clock: Clock, **environ: str) -> Tracer:
    return Tracer("phonebridge test", Collector.from_env(environ), LOG, clock)


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_without_an_endpoint_nothing_is_kept_and_nothing_sent(clock: Clock) -> None:
    off = tracer(clock)
    assert not off.is_on
    with off.span(CALL_ID, "model connect"):
        pass
    off.flush()


@pytest.mark.parametrize("headers", ["api-key=se%E2%80%93cret", "\u2013key=x", "x=%0D%0AHost: y"])
def test_headers_that_cannot_be_sent_are_refused_at_start(clock: Clock, headers: str) -> None:
    with pytest.raises(NotConfigured, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        tracer(
            clock,
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318",
            OTEL_EXPORTER_OTLP_HEADERS=headers,
        )
    assert "cret" not in str(refused.value)


def test_a_span_has_the_form_of_otlp(clock: Clock, received: ReceivedTraces) -> None:
    on = tracer(
        clock,
        OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint + "/",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=se%20cret,x-team=voice",
    )
    started_ms = clock.now_ms
    with on.span(CALL_ID, "model connect"):
        clock.pass_seconds(0.25)
    on.flush()
    [(path, headers, _)] = received.requests
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/json"
    assert (headers["api-key"], headers["x-team"]) == ("se cret", "voice")
    assert received.services() == {"phonebridge test"}
    [span] = received.spans
    assert span["name"] == "model connect"
    assert span["traceId"] == "c0ffee00000040008000000000000001"
    assert [len(bytes.fromhex(span[name])) for name in ("spanId", "parentSpanId")] == [8, 8]
    assert span["startTimeUnixNano"] == str(started_ms * 1_000_000)
    assert span["endTimeUnixNano"] == str((started_ms + 250) * 1_000_000)
    assert attributes(span) == {"call.id": CALL_ID}
    assert span["status"] == {}


def test_two_processes_meet_in_one_trace(clock: Clock, received: ReceivedTraces) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}
    one, other = tracer(clock, **endpoint), tracer(clock, **endpoint)
    one.record(Span(CALL_ID, "call", 0, 9, {"call.outcome": "completed"}, is_whole_call=True))
    other.record(Span(CALL_ID, "media session", 2, 8))
    one.flush()
    other.flush()
    whole, part = received.spans
    assert part["traceId"] == whole["traceId"]
    assert part["parentSpanId"] == whole["spanId"] != part["spanId"]
    assert "parentSpanId" not in whole
    assert attributes(whole)["call.outcome"] == "completed"


def test_a_call_id_that_is_no_uuid_has_a_trace_too() -> None:
    assert trace_id("v3-leg-1") == trace_id("v3-leg-1") != trace_id("v3-leg-2")
    assert len(bytes.fromhex(trace_id("v3-leg-1"))) == 16


def test_what_raises_has_failed(clock: Clock, received: ReceivedTraces) -> None:
    on = tracer(clock, OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint)
    with pytest.raises(ConnectionError), on.span(CALL_ID, "model connect"):
        raise ConnectionError
    on.record(Span(CALL_ID, "telnyx dial", 0, 1, failed="TelnyxRefused"))
    on.flush()
    assert [span["status"]["code"] for span in received.spans] == [2, 2]
    assert received.spans[1]["status"]["message"] == "TelnyxRefused"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_collector_that_fails_costs_the_traces_alone(
    clock: Clock, received: ReceivedTraces, is_there: bool
) -> None:
    received.status = 503
    endpoint = received.endpoint if is_there else "http://127.0.0.1:9"
    on = tracer(clock, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    [handler] = logging.getLogger("tracing").handlers
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(told := io.StringIO())
    try:
        on.record(Span(CALL_ID, "call", 0, 1))
        on.flush()
        on.flush()
    finally:
        handler.setStream(before)
    assert told.getvalue().count("traces lost") == 1


def test_spans_that_nobody_fetches_have_a_limit(clock: Clock, received: ReceivedTraces) -> None:
    on = tracer(clock, OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint)
    for _ in range(MAX_SPANS + 1):
        on.record(Span(CALL_ID, "turn", 0, 1))
    on.flush()
    assert len(received.spans) == MAX_SPANS
