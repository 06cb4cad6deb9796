"""The program `yc-workflow-exporter`, also `python -m exporter`."""

import contextlib
import ctypes
import gc
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LARGE = 1024 * 1024


def main() -> None:
    """Run the program."""
    # To load it takes a while. A signal that comes meanwhile waits until somebody listens: SIGHUP must not
    # mean the end, and the first process of a container would lose SIGTERM.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keep_one_heap()
    # What is loaded stays: to look for garbage in it meanwhile takes a tenth of the time.
    gc.disable()
    from exporter.cli import entry  # noqa: PLC0415  # what takes the while

    entry()


def keep_one_heap() -> None:
    """Have glibc, where there is one, serve all threads from one heap.

    By default each thread may have a heap of its own, and what is free in one is of no use to another: in
    days of scrapes that grows to twice the memory. Only one thread of Python works at a time anyway.

    What is large, answers with megabytes of payload, has pages of its own and gives them back when it goes;
    glibc would raise the bound with the first one, and keep the room.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


if __name__ == "__main__":
    main()
