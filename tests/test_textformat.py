"""The pages' text formats: what prometheus-client writes, byte for byte."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from exporter import textformat
from exporter.families import Family, HistogramFamily

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
ACCEPT = (
    "", "*/*", "text/plain", "text/plain;version=0.0.4", "text/plain;version=1.0.0", "text/html",
    "text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text",
    PROMETHEUS_2, PROMETHEUS_3,
    "application/openmetrics-text;version=1.0.0;escaping=underscores",
    "application/openmetrics-text;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=1.0.0;escaping=values",
    "text/plain;version=1.0.0;escaping=dots", "text/plain;version=1.0.0;escaping=values",
    "application/openmetrics-text;version=0.0.1", "application/openmetrics-text;version=2.0.0",
)  # fmt: skip

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,12}", fullmatch=True)
# A zero with a minus is written as a zero; nothing that is counted or timed has one.
VALUES = st.floats().map(lambda value: value + 0.0) | st.integers(0, 2**60)


class Families(Collector):
    """A collector of families that are there already."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families


@st.composite
def families(draw: st.DrawFn) -> Families:
    """Make families of all types that there are here, of any texts and numbers."""
    labels = draw(
        st.lists(NAMES.filter(lambda name: name not in {"le", "quantile"}), max_size=4, unique=True)
    )
    rows = draw(st.lists(st.tuples(*(st.text(max_size=12) for _ in labels)), max_size=5))
    help_ = draw(st.text(max_size=30))
    unit = draw(st.sampled_from(["", "seconds"]))
    gauge = GaugeMetricFamily("a_gauge", help_, labels=labels, unit=unit)
    counter = CounterMetricFamily("a_counter", help_, labels=labels)
    unknown = UnknownMetricFamily("an_unknown", help_, labels=labels)
    histogram = HistogramMetricFamily("a_histogram", help_, labels=labels)
    of_rows = Family("some_rows", help_, labels), Family("more_rows_total", help_, labels)
    of_histograms = HistogramFamily("some_histograms", help_, labels)
    for row in rows:
        for family in of_rows:
            family.add_metric(row, draw(VALUES))
        gauge.add_metric(row, draw(VALUES))
        unknown.add_metric(row, draw(VALUES))
        counter.add_metric(row, draw(VALUES))
        at = draw(st.none() | st.just(1.5))
        shown = Exemplar({"execution_id": draw(st.text(max_size=9))}, draw(VALUES), at)
        histogram.add_metric(row, [("1.0", 1.0, shown), ("+Inf", draw(VALUES))], draw(VALUES))
        buckets = ("1.0", 1.0, shown), ("2.5", draw(VALUES), None), ("+Inf", draw(VALUES), None)
        of_histograms.add_metric(row, buckets, draw(VALUES))
    alone = GaugeMetricFamily("without_labels", help_, value=draw(VALUES))
    return Families(gauge, counter, unknown, histogram, alone, *of_rows, of_histograms)


@given(families())
def test_openmetrics_is_what_the_library_writes(found: Families) -> None:
    """Whatever the texts and numbers, OpenMetrics is the library's, byte for byte."""
    for escaping in ("underscores", "allow-utf-8"):
        library = openmetrics.generate_latest(found, escaping)  # type: ignore[no-untyped-call]
        assert textformat.openmetrics(found) == library


@given(families())
def test_plain_text_is_what_the_library_writes(found: Families) -> None:
    """Whatever the texts and numbers, the older format is the library's, byte for byte."""
    for escaping in ("underscores", "allow-utf-8"):
        assert textformat.plain(found) == exposition.generate_latest(found, escaping)


@pytest.mark.parametrize("accept", ACCEPT)
def test_each_accept_header_gets_the_format_that_the_library_would_choose(accept: str) -> None:
    """Content type and page are those of the library for every way to ask."""
    gauge = GaugeMetricFamily("a_gauge", "help", labels=("a_label",))
    gauge.add_metric(("a.value_ü",), 1.5)
    counter = CounterMetricFamily("a_counter", "help", value=3)
    found = Families(gauge, counter)
    encode, content_type = textformat.negotiated(accept)
    library, expected = exposition.choose_encoder(accept)
    assert content_type == expected
    assert encode(found) == library(found)


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3, "text/plain;version=0.0.4", "*/*"])
def test_what_prometheus_asks_for_is_written_by_the_fast_writer(accept: str) -> None:
    """No Prometheus that asks as usual waits for the library's writer."""
    encode, _ = textformat.negotiated(accept)
    assert encode in {textformat.openmetrics, textformat.plain}


def test_a_family_of_rows_is_a_family_for_the_library() -> None:
    """Registries that filter by name find the samples of rows."""
    family = Family("a_total", "help", ("a_label",))
    family.add_metric(("one",), 1.0)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Families(family))
    found = list(registry.restricted_registry(["a_total"]).collect())
    assert [(sample.name, sample.labels, sample.value) for sample in found[0].samples] == [
        ("a_total", {"a_label": "one"}, 1.0)
    ]
    assert (found[0].name, found[0].type) == ("a", "counter")


def test_a_family_of_rows_takes_no_samples() -> None:
    """Samples that are given to a family of rows, which would not keep them, are refused."""
    with pytest.raises(ValueError, match="takes no samples"):
        Family("a_gauge", "help").samples = [Sample("a_gauge", {}, 1.0)]


def test_states_are_one_for_that_of_now_and_zero_for_the_others() -> None:
    """A dense set of states has a sample for each, in their order."""
    family = Family("a_state", "help", ("a_label", "state"))
    family.add_states(("one",), ("ON", "OFF"), "OFF")
    assert family.rows == [(("one", "ON"), 0.0), (("one", "OFF"), 1.0)]
