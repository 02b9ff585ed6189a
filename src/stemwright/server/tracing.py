"""Spans for OpenTelemetry, when `stemwright[otel]` is installed and switched on; nothing is imported otherwise.

A task's id is its trace id: its steps in any worker and its callbacks are one trace, and name the request that asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stemwright.errors import ExtraMissing

_tracer: Any = None


def configure(*, on: bool, process: str) -> None:
    """Exports this process's spans by OTLP, to where the OTEL_… variables say; raises ExtraMissing."""
    global _tracer  # noqa: PLW0603  one tracer for each process
    if not on:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise ExtraMissing(missing="OpenTelemetry", extra="otel") from missing
    provider = TracerProvider(resource=Resource.create({"service.name": f"stemwright-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("stemwright")


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """A span around what is done inside, if anyone wants to know."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def of_task(task_id: str, request_id: str | None) -> Iterator[None]:
    """Spans inside belong to the task's trace."""
    if _tracer is None:
        yield
        return
    from opentelemetry import context, trace

    parent = trace.SpanContext(
        trace_id=int(task_id, 16),
        span_id=int(task_id[:16], 16) or 1,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
    try:
        with span("task", task_id=task_id, request_id=request_id or ""):
            yield
    finally:
        context.detach(token)
