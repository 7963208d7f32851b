"""The page on observability: what it shows observes, and its tables have all that there is and nothing else."""

import json
import re
from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gatesocket.observe import Observation
from gatesocket.observe.metrics import UNITS
from gatesocket.observe.tracing import COUNTS, known, outcome
from support.lambda_events import connect
from support.pages import ROOT, Shown

PAGE = (ROOT / "docs/observability.md").read_text(encoding="utf-8")


def named_in(section: str, *, until: str) -> list[str]:
    """The names in the first column of a section's table."""
    table = PAGE.partition(section)[2].partition(until)[0]
    return re.findall(r"`([\w.]+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))


def test_what_it_shows_observes(
    show: Callable[..., Shown], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATESOCKET_ENDPOINT", "https://abcd1234.execute-api.eu-west-1.amazonaws.com/prod")
    shown = show("docs/observability.md")
    spans = InMemorySpanExporter()
    shown["provider"].add_span_processor(SimpleSpanProcessor(spans))

    handler = shown["websocket"]
    assert handler(connect("/nowhere"), None)["statusCode"] == 403
    handler._loop.run(handler.shutdown())
    handler._loop.close()

    assert json.loads(capsys.readouterr().out.splitlines()[0])["Refused"] == 1
    assert [span.name for span in spans.get_finished_spans()] == ["connect"]
    # powertools keeps one handler for each service, and another test may have run the page in this process before.
    assert isinstance(shown["logger"].registered_handler.filters[-1], shown["ConnectionFields"])


def test_it_names_every_metric_and_no_other() -> None:
    assert set(named_in("## Metrics", until="`Opened` less")) == UNITS.keys()


def test_it_names_every_attribute_and_no_other() -> None:
    told = Observation("connect", "c", "r", "m", status=200, route="/", woken_at="a", waits_at="b", waking=1, running=1)
    said = {*known(told), *outcome(told), *(f"gatesocket.{name}" for name in COUNTS), "error.type"}
    told.event = "message"
    said |= known(told).keys()

    named = named_in("### What a span says", until="There is no span")
    assert {f"gatesocket{name}" if name.startswith(".") else name for name in named} == said
