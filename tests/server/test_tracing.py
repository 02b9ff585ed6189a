"""Spans, when somebody wants them: a task is one trace over every process; without the switch nothing is imported."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.crash.house import Receiver

from .crew import Crew, Submit, crew, hook, submit, wait  # noqa: F401  fixtures

trace = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")


class Collector(HTTPServer):
    """Takes spans by OTLP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, str]] = []  # trace id, name


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        for resource in trace.ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += [(span.trace_id.hex(), span.name) for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_tasks_steps_and_callback_are_one_trace(
    submit: Submit, crew: Crew, hook: Receiver, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{collector.server_address[1]}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    crew.start(otel="true")
    task_id = submit()
    wait(lambda: bool(hook.got[task_id]))
    wait(lambda: {"fetch", "separate", "end", "tidy", "callback"} <= {name for _, name in collector.spans})
    assert {found for found, name in collector.spans if name in ("task", "separate", "callback")} == {task_id}


def test_nothing_of_it_is_imported_unless_it_is_on() -> None:
    program = "import sys; from stemwright.server import api, tracing; tracing.configure(on=False, process='api');"
    program += "sys.exit(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
