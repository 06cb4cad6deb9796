"""The PromQL that all dashboards are made of: selectors, joins, and names for people.

Replicas and several jobs may read the same workflow and count it each for itself. So whatever is about a
workflow or an execution is taken by `max by` over them first, and added up only then.
"""

from collections.abc import Callable, Mapping

EXPORTERS = 'job=~"$job", instance=~"$instance"'
WORKFLOWS = f'{EXPORTERS}, workflow_id=~"$workflow"'
EXECUTIONS = f'{EXPORTERS}, execution_id=~"$execution"'

RATE = "$__rate_interval"
"""The window of a rate, which must hold some samples."""
HOUR = "1h"
"""The window of a ratio or a percentile over time, in which enough happens; it slides along."""
RANGE = "$__range"
LATELY = "1h"
"""How long something that does not change by itself is believed when nothing new is read."""

ENDED_WELL_OR_BADLY = 'status=~"FAILED|FINISHED"'
"""What was stopped by hand is neither a success nor a failure."""


def workflows(metric: str, *matchers: str) -> str:
    """Select a metric of the workflows that are looked at."""
    return _selector(f"yc_workflow_{metric}", WORKFLOWS, *matchers)


def executions(metric: str, *matchers: str) -> str:
    """Select a metric of the one execution that is looked at."""
    return _selector(f"yc_workflow_execution_{metric}", EXECUTIONS, *matchers)


def executions_of_workflows(metric: str, *matchers: str) -> str:
    """Select a metric of the configured executions of the workflows that are looked at."""
    return _selector(f"yc_workflow_execution_{metric}", WORKFLOWS, *matchers)


def exporters(metric: str, *matchers: str) -> str:
    """Select a metric that the exporters say of themselves, or of all they watch."""
    return _selector(f"yc_workflow_{metric}", EXPORTERS, *matchers)


def process(metric: str) -> str:
    """Select a metric that any process has, of exporters only: `job` may stand for all jobs there are."""
    exporter = exporters("exporter_build_info")
    return f"{_selector(metric, EXPORTERS)} and on (job, instance) {exporter}"


def _selector(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"


def most(expression: str, *labels: str) -> str:
    """Take the largest over replicas, by the labels that tell apart what is counted."""
    return f"max by ({', '.join(labels)}) ({expression})"


def lately(selector: str) -> str:
    """Take the last value that was read within the hour."""
    return f"last_over_time({selector}[{LATELY}])"


def per_bar(selector: str) -> str:
    """Count how much a counter grew in the interval of a bar.

    The increase over windows side by side would lose what happens between the last scrape of one and the
    first of the next. The rate looks back one scrape further, and so bars add up to the total.
    """
    return f"rate({selector}[{RATE}]) * $__interval_ms / 1000"


def increase(selector: str, window: str, at: str = "") -> str:
    """Count how much a counter grew in a window."""
    return f"increase({selector}[{window}]{at})"


def told_apart(info: str) -> str:
    """Give each workflow a name that no other has: its own, with the folder's end where several have the same."""
    several = f"count by (workflow_name) (group by (workflow_id, workflow_name) ({info})) > 1"
    joined = f'label_join({info}, "workflow_name", " / ", "workflow_name", "folder_id")'
    with_folder = (
        f'label_replace({joined}, "workflow_name", "$1 …$2", "workflow_name", "(.*) / .*?(.{{1,5}})")'
    )
    return f"{info} unless on (workflow_name) {several} or on (workflow_id) {with_folder}"


def named(expression: str) -> str:
    """Add the names of workflows, the ID where none is known.

    Of two names (a rename that one replica has seen first) one is taken.
    """
    known = told_apart(f"topk by (workflow_id) (1, {exporters('info')})")
    others = f"group by (workflow_id) ({exporters('scrape_success')})"
    unnamed = f'label_replace({others}, "workflow_name", "$1", "workflow_id", "(.+)")'
    return (
        f"{expression}\n* on (workflow_id) group_left (workflow_name)\n"
        f"({known}\nor on (workflow_id) {unnamed})"
    )


def ratio(part: str, whole: str) -> str:
    """Divide; nothing, rather than NaN, where there is nothing to divide by."""
    return f"{part}\n/ ({whole} > 0)"


def failed(window: str, *by: str) -> str:
    """Count the failed executions by these labels, of all workflows together without any."""
    one = most(increase(workflows("executions_completed_total", 'status="FAILED"'), window), "workflow_id")
    return one if "workflow_id" in by else f"sum({one})"


def ended(window: str, *by: str) -> str:
    """Count the executions that failed or finished by these labels, all together without any."""
    selector = workflows("executions_completed_total", ENDED_WELL_OR_BADLY)
    each = most(increase(selector, window), "workflow_id", "status")
    return f"sum by ({', '.join(by)}) ({each})" if by else f"sum({each})"


def quantile(share: str, family: str, window: str, *by: str, at: str = "") -> str:
    """Compute a percentile of a histogram of workflows by these labels; nothing where nothing ended."""
    buckets = increase(workflows(f"{family}_bucket"), window, at)
    each = most(buckets, *dict.fromkeys(("workflow_id", *by)), "le")
    if "workflow_id" not in by:
        each = f"sum by ({', '.join((*by, 'le'))}) ({each})"
    return f"histogram_quantile({share}, {each}) > 0"


def only_the(most_of: int, score: str) -> str:
    """Keep the workflows with the highest score at the end of the range, for a legend that can be read."""
    return f"\nand on (workflow_id)\ntopk({most_of}, {score})"


def one_of(metric: str, by: str, state: str) -> str:
    """Take the state that is told as 1, as a label; if replicas disagree, one of theirs."""
    return f"topk by ({by}) (1, max by ({by}, {state}) ({metric}) == 1)"


def or_words(expression: str, label: str, words: str) -> str:
    """Say these words as the label, of a series at 0, where there is nothing: a name that is shown has no other."""
    return f'{expression}\nor on () label_replace(vector(0), "{label}", "{words}", "", "")'


def coded(select: Callable[[str], str], label: str, codes: Mapping[str, int], *by: str) -> str:
    """Make one number of a state that is told as 1 for the label it has and 0 for all others.

    `select` returns the metric's selector with one more matcher.
    """
    selected = {select(f'{label}="{state}"'): code for state, code in codes.items()}
    numbered = (f"({most(selector, *by)} == 1) * {code}" for selector, code in selected.items())
    return f"\nor on ({', '.join(by)})\n".join(numbered)


def with_names(expression: str) -> str:
    """Add a `name` to configured executions: the alias, else the end of the ID, which tells them apart."""
    aliases = f"topk by (execution_id) (1, {exporters('execution_info')})"
    aliased = f"{expression} * on (execution_id) group_left (alias) {aliases}"
    return (
        f'label_replace({aliased}, "name", "$1", "alias", "(.+)")\n'
        "or on (execution_id)\n"
        f'label_replace({expression}, "name", "…$1", "execution_id", ".*?(.{{1,12}})")'
    )
