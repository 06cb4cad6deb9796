"""The text formats of a page, as prometheus-client writes them, at a tenth of its time.

An exporter of tens of thousands of samples spends most of its time here, and the library escapes each
name of each sample letter by letter. What is written is the same, byte for byte; tests hold it against
the library. That needs names which Prometheus has always allowed, and all of ours are; who asks for the
schemes in which even these are escaped is served by the library.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from exporter.families import Family, HistogramFamily

Encode = Callable[[Collector], bytes]

_OPENMETRICS = "application/openmetrics-text"
_UNCHANGED = ("", "underscores", "allow-utf-8")
"""The escaping schemes that leave our names as they are."""


def negotiated(accept: str) -> tuple[Encode, str]:
    """Return what writes the format that an Accept header asks for, and its content type."""
    encode, content_type = choose_encoder(accept)
    if content_type.partition("escaping=")[2] not in _UNCHANGED:
        return encode, content_type
    return (openmetrics if content_type.startswith(_OPENMETRICS) else plain), content_type


def openmetrics(collector: Collector) -> bytes:
    """Write OpenMetrics, with exemplars."""
    write = _Writer(with_exemplars=True)
    pieces: list[bytes] = []
    for family in collector.collect():
        help_ = _escaped(family.documentation)
        unit = f"# UNIT {family.name} {family.unit}\n" if family.unit else ""
        head = f"# HELP {family.name} {help_}\n# TYPE {family.name} {family.type}\n{unit}"
        pieces.append("".join((head, *write.lines(family))).encode())
    pieces.append(b"# EOF\n")
    return b"".join(pieces)


def plain(collector: Collector) -> bytes:
    """Write the format of before: a counter's family is named as its sample, and there are no exemplars."""
    write = _Writer(with_exemplars=False)
    pieces: list[bytes] = []
    for family in collector.collect():
        name = family.name + "_total" * (family.type == "counter")
        help_ = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        kind = "untyped" if family.type == "unknown" else family.type
        head = f"# HELP {name} {help_}\n# TYPE {name} {kind}\n"
        pieces.append("".join((head, *write.lines(family))).encode())
    return b"".join(pieces)


class _Escaped(dict[str, str]):
    """Values of labels as they are written. Each ID is on a page many times."""

    def __missing__(self, value: str) -> str:
        self[value] = escaped = _escaped(value)
        return escaped


class _Numbers(dict[float, str]):
    """Numbers as they are written. Most are 0 or 1."""

    def __missing__(self, value: float) -> str:
        self[value] = written = _number(value)
        return written


class _Writer:
    """Writes the samples of one page; what it has written it remembers until the page is done."""

    def __init__(self, *, with_exemplars: bool) -> None:
        self._with_exemplars = with_exemplars
        self._escaped = _Escaped()
        self._numbers = _Numbers()

    def lines(self, family: Metric) -> Iterator[str]:
        """Yield the line of each sample."""
        if isinstance(family, Family):
            return self._of_rows(family)
        if isinstance(family, HistogramFamily):
            return self._of_histograms(family)
        return self._of_samples(family)

    def _of_rows(self, family: Family) -> Iterator[str]:
        escaped, numbers = self._escaped, self._numbers
        places = [(before, family.labels.index(label)) for before, label in _order(family.labels)]
        end = "} " if places else " "
        for values, value in family.rows:
            line = family.sample_name
            for before, place in places:
                line += f'{before}{escaped[values[place]]}"'
            yield f"{line}{end}{numbers[value]}\n"

    def _of_histograms(self, family: HistogramFamily) -> Iterator[str]:
        escaped, numbers, name = self._escaped, self._numbers, family.name
        for values, buckets, sum_ in family.rows:
            labels = sorted(zip(family.labels, values, strict=True))
            pairs = [(label, f'{label}="{escaped[value]}"') for label, value in labels]
            before = "".join(f"{pair}," for label, pair in pairs if label < "le")
            after = "".join(f",{pair}" for label, pair in pairs if label > "le")
            for le, count, exemplar in buckets:
                shown = _shown(exemplar) if exemplar and self._with_exemplars else ""
                yield f'{name}_bucket{{{before}le="{le}"{after}}} {numbers[count]}{shown}\n'
            own = f"{{{','.join(pair for _, pair in pairs)}}}" if pairs else ""
            yield f"{name}_count{own} {numbers[buckets[-1][1]]}\n{name}_sum{own} {numbers[sum_]}\n"

    def _of_samples(self, family: Metric) -> Iterator[str]:
        escaped, numbers = self._escaped, self._numbers
        orders: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for name, labels, value, _, exemplar, *_ in family.samples:
            names = tuple(labels)
            order = orders.get(names)
            if order is None:
                order = orders[names] = _order(names)
            line = name
            for before, label in order:
                line += f'{before}{escaped[labels[label]]}"'
            shown = _shown(exemplar) if exemplar and self._with_exemplars else ""
            yield f"{line}{'}' if order else ''} {numbers[value]}{shown}\n"


def _order(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names in the order in which they are written, each with what goes before its value."""
    return [(f'{"," if place else "{"}{name}="', name) for place, name in enumerate(sorted(names))]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _shown(exemplar: Exemplar) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(exemplar.labels.items()))
    at = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {{{labels}}} {_number(exemplar.value)}{at}"
