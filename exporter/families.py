"""Metric families of many samples, kept as rows: the values of the labels and the number.

A sample of prometheus-client is a tuple of six with a dictionary of its labels. On a page of ten thousand
targets that is most of the time and of the memory, and the text needs none of it.
"""

from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

Bucket = tuple[str, float, Exemplar | None]
"""The bound as `le` has it, how many there were up to it, and one of them or none."""


class _Rows(Metric):
    """What families of rows have in common; `samples` are the library's, made of the rows each time."""

    @property
    def samples(self) -> list[Sample]:
        """The samples, for who knows no rows: the library's own writers and filters."""
        return list(self._made())

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        """Take that there are none, as the base class begins."""
        if samples:
            raise ValueError("a family of rows takes no samples")

    def _made(self) -> Iterable[Sample]:
        return ()


class Family(_Rows):
    """A family of gauges, or of counters if its name ends in `_total`: values of `labels`, in their order."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        counts = name.endswith("_total")
        super().__init__(name.removesuffix("_total"), documentation, "counter" if counts else "gauge")
        self.sample_name = name
        self.labels = tuple(labels)
        self.rows: list[tuple[tuple[str, ...], float]] = []

    def add_metric(self, labels: tuple[str, ...], value: float) -> None:
        """Add a sample."""
        self.rows.append((labels, value))

    def add_states(self, labels: tuple[str, ...], states: Iterable[str], now: str) -> None:
        """Add a sample for each state, which is the last label: 1 for that of now, 0 for the others."""
        self.rows += [((*labels, state), 1.0 if state == now else 0.0) for state in states]

    def _made(self) -> Iterable[Sample]:
        for values, value in self.rows:
            yield Sample(self.sample_name, dict(zip(self.labels, values, strict=True)), value)


class HistogramFamily(_Rows):
    """A family of histograms: of each the values of its labels, its cumulative buckets, and the sum."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, documentation, "histogram")
        self.labels = tuple(labels)
        self.rows: list[tuple[tuple[str, ...], tuple[Bucket, ...], float]] = []

    def add_metric(self, labels: tuple[str, ...], buckets: tuple[Bucket, ...], sum_: float) -> None:
        """Add a histogram; its last bucket, `+Inf`, has the count."""
        self.rows.append((labels, buckets, sum_))

    def _made(self) -> Iterable[Sample]:
        for values, buckets, sum_ in self.rows:
            labels = dict(zip(self.labels, values, strict=True))
            for le, count, exemplar in buckets:
                yield Sample(f"{self.name}_bucket", {**labels, "le": le}, count, None, exemplar)
            yield Sample(f"{self.name}_count", labels, buckets[-1][1])
            yield Sample(f"{self.name}_sum", labels, sum_)
