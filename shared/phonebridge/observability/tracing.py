"""Traces of calls by OTLP over HTTP. They are off unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

A call is one trace, and its id is derived from the call's id. So Lambdas and container add to the
same trace without exchanging anything. OpenTelemetry's SDK and exporter would add 14 MB to the
layer, 90 ms to a cold start, and threads to a process that Lambda freezes.
"""

import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import unquote

import msgspec
import urllib3
from aws_lambda_powertools import Logger
from urllib3.exceptions import HTTPError

from phonebridge.call.call import Call, Leg
from phonebridge.call.commands import CarrierCommand
from phonebridge.call.config import CallConfig
from phonebridge.call.overdue import LegState
from phonebridge.errors import NotConfigured
from phonebridge.ports import Carrier
from phonebridge.settings import fits_header

TIMEOUT = urllib3.Timeout(connect=1.0, read=1.0)
"""A slow collector may cost a trace, but must not delay the response."""
MAX_SPANS = 2_048

Value = str | int


@dataclass(frozen=True, slots=True)
class Span:
    """A timed step of a call. `failed` says why it did not succeed."""

    call_id: str
    name: str
    started_ms: int
    ended_ms: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    failed: str | None = None
    is_whole_call: bool = False


def whole_call(call: Call) -> Span:
    """The span of a call that has ended."""
    return Span(
        call.call_id,
        "call",
        call.created_at_ms,
        call.changed_at_ms,
        {"call.direction": call.direction, "call.outcome": str(call.outcome)},
        failed=call.fault.reason if call.fault else None,
        is_whole_call=True,
    )


@dataclass(frozen=True, slots=True)
class Collector:
    """The address and headers of the collector (OpenTelemetry, "OTLP Exporter Configuration")."""

    url: str
    headers: Mapping[str, str]

    @staticmethod
    def from_env(environ: Mapping[str, str]) -> "Collector | None":
        """Raises `NotConfigured`."""
        endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        if not endpoint:
            return None
        pairs = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
        headers = {
            name.strip(): unquote(value.strip())
            for name, separator, value in (pair.partition("=") for pair in pairs)
            if separator
        }
        if not all(fits_header(text) for header in headers.items() for text in header):
            raise NotConfigured(
                "OTEL_EXPORTER_OTLP_HEADERS has characters that no HTTP header can carry"
            )
        return Collector(f"{endpoint}/v1/traces", headers)


class Tracer:
    """Collects spans until they are flushed. Without a collector it drops them."""

    def __init__(
        self, service: str, collector: Collector | None, log: Logger, now_ms: Callable[[], int]
    ) -> None:
        self._service = service
        self._collector = collector
        self._log = log
        self._now_ms = now_ms
        self._spans: list[Span] = []
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False) if collector else None

    @property
    def is_on(self) -> bool:
        return self._collector is not None

    def record(self, span: Span) -> None:
        if self.is_on and len(self._spans) < MAX_SPANS:
            self._spans.append(span)

    @contextmanager
    def span(self, call_id: str, name: str) -> Iterator[None]:
        """Record the time spent inside as a span. An exception marks the span as failed."""
        started_ms = self._now_ms()
        failed: str | None = "exception"
        try:
            yield
            failed = None
        finally:
            self.record(Span(call_id, name, started_ms, self._now_ms(), failed=failed))

    def flush(self) -> None:
        """Send all spans. This blocks. Spans that cannot be delivered are lost."""
        spans, self._spans = self._spans, []
        if not (spans and self._collector and self._pool):
            return
        headers = {"Content-Type": "application/json", **self._collector.headers}
        try:
            answer = self._pool.request(
                "POST",
                self._collector.url,
                body=encode_spans(self._service, spans),
                headers=headers,
            )
        except HTTPError as error:
            self._log.warning("traces lost", reason=str(error))
        else:
            if answer.status >= 300:
                self._log.warning("traces lost", http_status=answer.status)


class TracedCarrier:
    """Wraps a carrier and records each of its commands as a span."""

    def __init__(self, carrier: Carrier, tracer: Tracer) -> None:
        self._carrier = carrier
        self._tracer = tracer

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        with self._tracer.span(call.call_id, f"telnyx {type(command).__name__}"):
            return self._carrier.execute(command, call, config)

    def look_up(self, leg: Leg) -> LegState:
        return self._carrier.look_up(leg)


def trace_id(call_id: str) -> str:
    """Return the call's id if it is a UUID, so that people find the trace by it. Hash other ids."""
    try:
        return uuid.UUID(call_id).hex
    except ValueError:
        return sha256(call_id.encode()).hexdigest()[:32]


def encode_spans(service: str, spans: list[Span]) -> bytes:
    """Encode an ExportTraceServiceRequest in JSON (OTLP, "JSON Protobuf Encoding")."""
    resource = {"attributes": _attributes({"service.name": service})}
    scope = {"scope": {"name": "phonebridge"}, "spans": [_encode_span(span) for span in spans]}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


def _encode_span(span: Span) -> dict[str, object]:
    whole_call = sha256(f"span of {span.call_id}".encode()).hexdigest()[:16]
    attributes: dict[str, Value] = {"call.id": span.call_id, **span.attributes}
    ids = {"traceId": trace_id(span.call_id), "spanId": whole_call}
    if not span.is_whole_call:
        ids |= {"spanId": secrets.token_hex(8), "parentSpanId": whole_call}
    return ids | {
        "name": span.name,
        "kind": 1,  # SPAN_KIND_INTERNAL
        "startTimeUnixNano": str(span.started_ms * 1_000_000),
        "endTimeUnixNano": str(span.ended_ms * 1_000_000),
        "attributes": _attributes(attributes),
        "status": {"code": 2, "message": span.failed} if span.failed else {},
    }


def _attributes(values: Mapping[str, Value]) -> list[dict[str, object]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]
