"""The exporter itself: does it run, is it let in, does it get everything in time."""

from grafana.source import shared
from grafana.source.layout import dashboard, row, tiles
from grafana.source.overrides import beside, limit_line, styled
from grafana.source.panels import BAR, LAST_AND_MAX, Query, about, bars, graph, now, stat
from grafana.source.promql import RANGE, RATE, exporters, increase, or_words, per_bar, process, ratio
from grafana.source.states import LOWEST, Json, steps

BAD = 'code=~"0|499|5.."'
"""No answer, or one that is not the fault of what was asked; the rules have the same."""


def exporter() -> Json:
    """Return the dashboard."""
    return dashboard(
        "ycwf-exporter",
        "Exporter",
        "Whether what the other dashboards show can be believed: the exporter, its credentials, its calls.",
        since="now-6h",
        rows=[
            tiles(_up(), _healthy(), _age(), _token(), _errors(), _version()),
            row(_requests(), _errors_by_code()),
            row(_latency(), _retries()),
            row(_scrape_duration(), _failed_by_reason()),
            row(_targets(), _should_be_zero()),
            row(
                _process("CPU", "rate(process_cpu_seconds_total", "percentunit"),
                _process("Memory", "process_resident_memory_bytes", "bytes"),
                _process("File descriptors", "process_open_fds", "short"),
                _renewals(),
                title="Process",
                collapsed=True,
            ),
        ],
        variables=[],
        failures=False,
    )


def _up() -> Json:
    return {**shared.exporter_state(), "title": "Exporter and API"}


def _healthy() -> Json:
    failed = f"sum(max by (kind) ({exporters('exporter_scrape_failed_targets')}))"
    all_ = f"sum(max by (kind) ({exporters('exporter_scrape_targets')}))"
    return stat(
        "Targets read",
        about(
            "Executions, workflows and folders that were read at the last scrape, as a share of all.",
            "What is not read has no data, or only what is known for good.",
            "Look at the reasons below; `check --live` asks for each target and says what it got.",
        ),
        now(f"1 - {ratio(failed, all_)}"),
        unit="percentunit",
        empty="nothing watched",
        decimals=1,
        thresholds=steps((0, "red"), (0.5, "orange"), (1, "green")),
    )


def _age() -> Json:
    return stat(
        "Data age",
        about(
            "Time since the API last gave anything good.",
            "All gauges of now are as old as that. Where only executions are watched that have ended, an hour is normal.",
            "If it grows, look at the errors by code: 0 is no answer, 401 the token, 403 the role.",
        ),
        now(f"time() - min({exporters('exporter_last_api_success_timestamp_seconds')})"),
        unit="s",
        empty="never",
        thresholds=steps((LOWEST, "green"), (900, "orange"), (4000, "red")),
    )


def _token() -> Json:
    return stat(
        "Token valid for",
        about(
            "Time until the IAM token in use runs out.",
            "It is renewed half an hour before its end at the latest; without a token nothing is read.",
            "If it falls below ten minutes the renewal fails: the log says why. A token that was given as it is "
            "has no end that is known.",
        ),
        now(f"min({exporters('exporter_iam_token_expiry_timestamp_seconds')}) - time()"),
        unit="s",
        empty="end not known",
        thresholds=steps((LOWEST, "red"), (0, "orange"), (600, "green")),
    )


def _errors() -> Json:
    # Codes are there from their first answer on: none of these is none, not nothing.
    bad = f"(sum({increase(exporters('exporter_api_requests_total', BAD), RANGE)}) or vector(0))"
    all_ = f"sum({increase(exporters('exporter_api_requests_total'), RANGE)})"
    return stat(
        "API error ratio",
        about(
            "Calls without an answer, or answered with 499 or 5xx, as a share of all in the chosen time.",
            "The API is at fault here, or the way to it; refusals (4xx) are counted elsewhere.",
            "Above 10 % look at the cloud's status page and at the network.",
        ),
        now(ratio(bad, all_)),
        unit="percentunit",
        empty="no calls in range",
        decimals=1,
        thresholds=steps((0, "green"), (0.01, "orange"), (0.1, "red")),
    )


def _version() -> Json:
    build = exporters("exporter_build_info")
    return stat(
        "Version",
        about(
            "The version of the exporter; of several the highest.",
            "Two replicas of different versions are a deployment that did not end.",
            "Compare with the changelog when you report a fault.",
        ),
        now(or_words(f"topk(1, max by (version) ({build}))", "version", "not running"), "{{version}}"),
        unit="none",
        empty="not running",
        name=True,
        colour="text",
    )


def _requests() -> Json:
    return graph(
        "Calls by method",
        about(
            "Calls to the Workflows API in a second, by method.",
            "It is what the exporter costs the API: one list for each workflow at each scrape, and little else.",
            "If it is far more than that, look at retries, and at how many Prometheus servers scrape.",
        ),
        [
            Query(
                f"sum by (method) (rate({exporters('exporter_api_requests_total')}[{RATE}]))",
                "{{method}}",
            )
        ],
        unit="reqps",
        empty="no calls in range",
        series=5,
        stacked=True,
        least_interval=BAR,
    )


def _errors_by_code() -> Json:
    bad = exporters("exporter_api_requests_total", 'code!~"2.."')
    return bars(
        "Calls without a good answer, by code",
        about(
            "Calls that were not answered with 2xx, by HTTP status; 0 is no answer at all.",
            "401 is the token, 403 the role, 404 a target that is gone, 429 the rate limit, 5xx the cloud, 0 the network.",
            "The troubleshooting table of the README goes through them.",
        ),
        [Query(f"sum by (code) ({per_bar(bad)}) > 0", "{{code}}")],
        empty="none in range",
        series=4,
        shades_of="red",
    )


def _latency() -> Json:
    buckets = f"rate({exporters('exporter_api_request_duration_seconds_bucket')}[{RATE}])"
    return graph(
        "Latency of the API",
        about(
            "How long calls to the Workflows API took: the median and the slowest one in a hundred.",
            "A scrape waits for its slowest calls; when p99 nears `api.timeout` targets begin to be missing.",
            "Raise `api.timeout` and Prometheus' scrape_timeout, or find what lies between.",
        ),
        [
            Query(f"histogram_quantile(0.{share}, sum by (le) ({buckets})) > 0", f"p{share}")
            for share in (50, 99)
        ],
        unit="s",
        empty="no calls in range",
        series=2,
        least_interval=BAR,
    )


def _retries() -> Json:
    hits, asked = (
        f"sum({increase(exporters(f'exporter_cache_{name}_total'), RATE)})" for name in ("hits", "requests")
    )
    return graph(
        "Retries, and share from memory",
        about(
            "Repeated calls, by method, and the share of configured executions that were answered from memory, "
            "since they have ended.",
            "Retries are calls that failed at first. The share is what the memory saves.",
            "Many retries: look at the errors by code.",
        ),
        [
            Query(
                f"sum by (method) ({increase(exporters('exporter_api_retries_total'), RATE)})", "{{method}}"
            ),
            Query(ratio(hits, asked), "from memory"),
        ],
        unit="locale",
        empty="no calls in range",
        series=5,
        decimals=0,
        least_interval=BAR,
        overrides=[
            beside("from memory", "text"),
            styled(
                "from memory",
                ("unit", "percentunit"),
                ("decimals", 0),
                ("max", 1),
                ("custom.axisPlacement", "right"),
            ),
        ],
    )


def _scrape_duration() -> Json:
    return graph(
        "Duration of a scrape against its budget",
        about(
            "How long the slowest exporter took to read all its targets, and how long it was allowed to.",
            "At the budget the rest of the targets has no data (reason `budget`).",
            "Raise scrape_timeout in Prometheus, `scrape.timeout` or `api.concurrency`, or spread the workflows over "
            "replicas.",
        ),
        [
            Query(f"max({exporters('exporter_scrape_duration_seconds')})", "duration"),
            Query(f"min({exporters('exporter_scrape_timeout_seconds')})", "budget"),
        ],
        unit="s",
        empty="nothing scraped",
        series=2,
        overrides=[limit_line("budget")],
    )


def _failed_by_reason() -> Json:
    return bars(
        "Targets not read, by reason",
        about(
            "Targets that could not be read, in each interval, by reason.",
            "Each is a gap in somebody's data.",
            "The table 'when something fails' of the README has every reason with its remedy.",
        ),
        [Query(f"sum by (reason) ({per_bar(exporters('exporter_scrape_errors_total'))}) > 0", "{{reason}}")],
        empty="none in range",
        series=4,
        shades_of="red",
    )


def _targets() -> Json:
    return graph(
        "Targets",
        about(
            "What is watched, by kind.",
            "A fall is workflows that are gone, a folder that cannot be seen any more, or a changed configuration.",
            "If it was not meant: `check --live` tells what each folder holds.",
        ),
        [Query(f"max by (kind) ({exporters('exporter_scrape_targets')})", "{{kind}}")],
        unit="locale",
        empty="nothing scraped",
        series=3,
        decimals=0,
    )


def _should_be_zero() -> Json:
    counted = {
        "state file not written": exporters("exporter_state_write_failures_total"),
        "token not renewed": exporters("exporter_iam_token_refresh_failures_total"),
    }
    queries = [
        Query(f"max by (kind) ({exporters('exporter_scrape_failed_targets')}) > 0", "{{kind}} not read"),
        Query(f"max by (kind) ({exporters('exporter_series_over_limit')}) > 0", "{{kind}} over a limit"),
        Query(
            f"sum by (field) ({per_bar(exporters('exporter_unknown_values_total'))}) > 0",
            "{{field}} not known",
        ),
        Query(
            f"max({exporters('exporter_config_last_reload_successful')} == bool 0) > 0",
            "configuration refused",
        ),
        *(Query(f"sum({per_bar(selector)}) > 0", name) for name, selector in counted.items()),
    ]
    return bars(
        "What should not be there",
        about(
            "Targets that are not read, values of the API that this version does not know, what is over a limit, a "
            "configuration that was refused, a state file that is not written, a token that is not renewed.",
            "All of it should be absent; an empty graph is a good one.",
            "The log of the exporter says more of each.",
        ),
        queries,
        empty="nothing, of what is scraped",
        series=4,
        shades_of="orange",
        calcs=LAST_AND_MAX,
    )


def _process(title: str, metric: str, unit: str) -> Json:
    name = metric.removeprefix("rate(")
    selected = process(name)
    if metric != name:
        selector, rest = selected.split(" and ", 1)
        selected = f"rate({selector}[{RATE}]) and {rest}"
    return graph(
        title,
        about(
            f"{title} of each exporter's process.",
            "A steady climb is a leak; a limit of the container shows as a restart.",
            "Compare with the number of targets; report a leak with the version.",
        ),
        [Query(selected, "{{instance}}")],
        unit=unit,
        empty="nothing scraped",
        series=2,
        least_interval=BAR,
    )


def _renewals() -> Json:
    return bars(
        "Token renewals",
        about(
            "IAM tokens that were obtained, in each interval.",
            "A few a day is normal; many mean that tokens are refused or short-lived.",
            "Look at the errors by code for 401.",
        ),
        [Query(f"sum({per_bar(exporters('exporter_iam_token_refreshes_total'))}) > 0", "renewals")],
        empty="none in range",
        series=1,
    )
