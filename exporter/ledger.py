"""What the counters have counted, kept across scrapes, reloads and, with a file, restarts.

A page shows only what the file has: counts are written first. What cannot be written is not shown, is not
lost, and is written with the next page.
"""

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from exporter.account import LONGEST_RUN, Account
from exporter.records import SETTLED, Facts, Look, Record
from exporter.standing import NOTHING, Key, Standing
from exporter.statefile import Change, Saved, StateError, StateFile
from exporter.statepath import MOVE
from exporter.yandex.history import History
from exporter.yandex.models import Execution, Step
from exporter.yandex.secrets import one_line
from exporter.yandex.workflows import Workflow

log = logging.getLogger(__name__)

MOST_WORKFLOWS = 10_000
MOST_TOTAL = 10**40
_NOT_OURS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading JSON raises that has another shape."""
SAVE_SECONDS = 0.25
"""Seconds that a page waits for the file at the least, when its own time is over."""
CLOSE_SECONDS = 5.0


class Ledger:
    """The accounts of all workflows, at most `size`; those not looked at for the longest go first.

    `failed` is called when the file cannot be written. `_lock` guards everything but the file, which the one
    thread of `_writer` has to itself, a batch of one moment's changes at a time; `_writing` is what it is at.
    Raises StateError if the file cannot be read.
    """

    def __init__(
        self, file: StateFile | None, failed: Callable[[], None], *, size: int = MOST_WORKFLOWS
    ) -> None:
        self._file = file
        self._failed = failed
        self._size = size
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._touched: set[str] = set()
        self._gone: set[str] = set()
        self._trouble = ""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._writing: Future[None] | None = None
        if file is not None:
            for workflow_id, saved in file.load().items():
                self._accounts[workflow_id] = _restored(
                    saved, f"{file.path}, workflow {one_line(workflow_id, 150)}"
                )

    def look(self, workflow_id: str, now: float, *, reach: float, window: float, again: bool) -> Look:
        """Return a look that has yet to read its first page.

        `reach` is how many seconds back the very first look goes, `window` how far every look that is not
        made `again` by the same reader.
        """
        with self._lock:
            account = self._accounts.get(workflow_id)
            facts = account.facts if account else Facts()
        if not facts.looked or facts.floor is None:
            since = now - max(reach, window, LONGEST_RUN + SETTLED)
            return Look(workflow_id, since, now, window, first=True)
        since = facts.floor if again else min(facts.floor, now - window)
        return Look(workflow_id, since, now, window, first=False)

    def page(self, look: Look, executions: Sequence[Execution], max_steps: int | None) -> tuple[str, ...]:
        """Take one page of a look; return the fields that could not be read, of what is news."""
        with self._lock:
            account = self._account(look.workflow_id)
            news = [e for e in executions if account.see(e, look, max_steps)]
        look.pages += 1
        return tuple(name for execution in news for name in execution.unread)

    def complete(self, look: Look, max_steps: int | None, now: float) -> tuple[tuple[str, Record], ...]:
        """Take that a look has read its last page; return what is to be asked for beside it."""
        with self._lock:
            account = self._account(look.workflow_id)
            let_go = account.complete(look, max_steps, now)
            self._accounts.move_to_end(look.workflow_id)
            while len(self._accounts) > self._size:
                gone, _ = self._accounts.popitem(last=False)
                self._touched.discard(gone)
                self._gone.add(gone)
            still_open = account.open()
        if let_go:
            fields = {"workflow_id": look.workflow_id, "executions": let_go}
            log.warning(
                "executions given up: of an unknown state for long, or too many", extra={"fields": fields}
            )
        return still_open

    def record(self, workflow_id: str, execution_id: str) -> Record | None:
        """Return what is remembered of an execution."""
        with self._lock:
            account = self._accounts.get(workflow_id)
            return account.records.get(execution_id) if account else None

    def learn(self, workflow_id: str, execution: Execution, max_steps: int | None) -> tuple[str, ...]:
        """Take the answer about one execution; return the fields that could not be read, if it is news."""
        with self._lock:
            news = self._account(workflow_id).learn(execution, max_steps)
        return execution.unread if news else ()

    def miss(self, workflow_id: str, execution_id: str) -> None:
        """Take that an execution was not found."""
        with self._lock:
            self._account(workflow_id).miss(execution_id)

    def give_up(self, workflow_id: str, execution_id: str) -> None:
        """Take that the error of an execution that failed is not to be had."""
        with self._lock:
            self._account(workflow_id).classify(execution_id, "OTHER")

    def settle_steps(
        self, workflow_id: str, execution_id: str, history: History | None, max_steps: int
    ) -> None:
        """Take the history of an execution that ended; None: there is none to be had."""
        with self._lock:
            self._account(workflow_id).settle_steps(execution_id, history, max_steps)

    def admit(self, workflow_id: str, steps: Iterable[Step], max_steps: int) -> None:
        """Take the steps of an execution that is active."""
        with self._lock:
            self._account(workflow_id).admit(steps, max_steps)

    def describe(self, workflows: Iterable[Workflow]) -> None:
        """Take what the lists of folders say of workflows; those that were never looked at are left out."""
        with self._lock:
            for workflow in workflows:
                account = self._accounts.get(workflow.id)
                if account is not None:
                    self._touched.add(workflow.id)
                    account.describe(workflow)

    def described(self) -> tuple[Workflow, ...]:
        """Return what is known of workflows from the lists of their folders."""
        with self._lock:
            return tuple(a.facts.workflow for a in self._accounts.values() if a.facts.workflow)

    def publish(
        self, workflow_ids: Iterable[str], now: float, window: float, *, patience: float = SAVE_SECONDS
    ) -> dict[str, Standing]:
        """Have what is new written, then return what a page says of these workflows.

        What is not written within `patience` seconds is not shown yet.
        """
        self._save(max(patience, SAVE_SECONDS))
        with self._lock:
            accounts = {id_: self._accounts.get(id_) for id_ in workflow_ids}
            return {id_: a.standing(now, window) if a else NOTHING for id_, a in accounts.items()}

    def close(self) -> None:
        """Write what is new, if that does not take too long, and let go of the file."""
        self._save(CLOSE_SECONDS)
        self._writer.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            if self._file is not None and self._writing is None:
                self._file.close()

    def _account(self, workflow_id: str) -> Account:
        self._touched.add(workflow_id)
        return self._accounts.setdefault(workflow_id, Account())

    def _save(self, seconds: float) -> None:
        """Have what is new written, and wait no longer than this: a disk that stalls holds up no page."""
        end = time.monotonic() + seconds
        # What another page has begun to write may not have all of ours.
        for _ in range(2):
            writing = self._begin_to_write()
            if writing is None:
                return
            try:
                writing.result(max(0.0, end - time.monotonic()))
            except TimeoutError:
                self._tell(f"writing takes longer than {seconds:.1f} s; look at the disk")
                return

    def _begin_to_write(self) -> Future[None] | None:
        with self._lock:
            if self._writing is not None:
                return self._writing
            batch = self._batch()
            if self._file is None:
                self._written(batch)
            elif batch:
                with contextlib.suppress(RuntimeError):
                    self._writing = self._writer.submit(self._write, self._file, batch)
            return self._writing

    def _batch(self) -> list[Change]:
        """Return what is to be written: who is gone first, since who is gone may have come back."""
        touched = [(id_, self._accounts[id_]) for id_ in self._touched]
        batch = [Change(id_, forgotten=True) for id_ in self._gone]
        batch += [change for id_, account in touched if (change := account.hand_over(id_))]
        self._touched.clear()
        self._gone.clear()
        return batch

    def _write(self, file: StateFile, batch: list[Change]) -> None:
        """Write a batch; this is done by a thread of its own."""
        trouble = ""
        try:
            file.write(batch)
        except StateError as error:
            trouble = str(error)
        except Exception as error:
            log.exception("saving state failed in an unforeseen way")
            trouble = type(error).__name__
        with self._lock:
            self._writing = None
            if trouble:
                self._not_written(batch)
            else:
                self._written(batch)
        self._tell(trouble)

    def _written(self, batch: list[Change]) -> None:
        for change in batch:
            account = self._accounts.get(change.workflow_id)
            if account is not None:
                account.saved_as(change)

    def _not_written(self, batch: list[Change]) -> None:
        for change in batch:
            account = self._accounts.get(change.workflow_id)
            if account is None:
                self._gone.add(change.workflow_id)
            else:
                account.not_saved(change)
                self._touched.add(change.workflow_id)

    def _tell(self, trouble: str) -> None:
        """Count a file that cannot be written, and log when that changes."""
        with self._lock:
            before, self._trouble = self._trouble, trouble
        if trouble:
            self._failed()
        if trouble and trouble != before:
            fields = {"error": trouble}
            log.error("state cannot be saved; counters stand still until it can", extra={"fields": fields})
        elif before and not trouble:
            log.info("state is saved again")


def _check_shown(facts: Facts, totals: Mapping[Key, int]) -> None:
    """Raise ValueError for what no page could show: totals below 0 or beyond floats, lone surrogates."""
    for key, total in totals.items():
        "".join(key).encode()
        if not 0 <= total < MOST_TOTAL:
            raise ValueError(f"{key} cannot be {'negative' if total < 0 else 'so large'}")
    for step, names in facts.steps.items():
        "".join((step, *names)).encode()


def _restored(saved: Saved, where: str) -> Account:
    try:
        account = Account(Facts.of(saved.facts) if saved.facts else None)
        _check_shown(account.facts, saved.totals)
        account.restore({id_: Record.of(row) for id_, row in saved.records.items()}, saved.totals)
    except _NOT_OURS as error:
        said = one_line(str(error))
        raise StateError(f"the state file {where}: not what this exporter writes ({said}); {MOVE}") from None
    return account
