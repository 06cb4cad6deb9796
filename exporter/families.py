"""Metric families of many samples, kept as rows: the values of the labels and the number.

A sample of prometheus-client is a tuple of six with a dictionary of its labels. On a page of ten thousand
targets that is most of the time and of the memory, and the text needs none of it.
"""

from collections.abc import Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample


class Family(Metric):
    """A family of gauges, or of counters if its name ends in `_total`: `rows` in the order of `labels`.

    For who knows no rows, such as the library's own writers and filters, `samples` are made of them.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        counts = name.endswith("_total")
        super().__init__(name.removesuffix("_total"), documentation, "counter" if counts else "gauge")
        self.sample_name = name
        self.labels = tuple(labels)
        self.rows: list[tuple[tuple[str, ...], float]] = []

    def add_metric(self, labels: tuple[str, ...], value: float) -> None:
        """Add a sample."""
        self.rows.append((labels, value))

    @property
    def samples(self) -> list[Sample]:
        """The samples as the library has them, made anew each time."""
        return [
            Sample(self.sample_name, dict(zip(self.labels, values, strict=True)), value)
            for values, value in self.rows
        ]

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        """Take that there are none, as the base class begins."""
        if samples:
            raise ValueError("a family of rows takes no samples")
