"""The signals to the process: kept while it serves, heeded while it runs something short."""

import faulthandler
import os
import signal
from collections.abc import Callable

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def keep_signals() -> None:
    """Keep the signals for `wait_for_the_end`, and let SIGQUIT tell on standard error where each thread is.

    To be called before any thread is born, so that all inherit it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    faulthandler.register(signal.SIGQUIT, all_threads=True)


def heed_signals() -> None:
    """Let signals end the process, as is usual."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def wait_for_the_end(on_reload: Callable[[], None]) -> signal.Signals:
    """Wait for SIGTERM or SIGINT and return which; SIGHUP calls `on_reload`.

    A second one ends the process at once, with 128 and its number.
    """
    while (number := signal.sigwait(SIGNALS)) == signal.SIGHUP:
        on_reload()
    for ending in (signal.SIGTERM, signal.SIGINT):
        # A handler of our own: the default does nothing to the first process of a container.
        signal.signal(ending, lambda again, _: os._exit(128 + again))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    return signal.Signals(number)
