"""What a Python process has in use, told to whoever connects; on PYTHONPATH it is imported at the start.

Resident memory is what a process once needed: what is free within it is not given back, and hides small
leaks for hours. What is in use is exact. The process is otherwise as it would be: one thread and one file
more, which wait.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import threading

VARIABLE = "TOLD_FROM_WITHIN"
"""Names the socket, in the kernel's own names; without it nothing happens."""


class MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


def in_use() -> tuple[int, int]:
    """Return the bytes that malloc has given and the number of Python's small blocks, without garbage."""
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallInfo
    info = mallinfo()
    return info.uordblks + info.hblkhd, sys.getallocatedblocks()


def tell(server: socket.socket) -> None:
    """Tell everybody who comes."""
    while True:
        asker, _ = server.accept()
        with asker:
            asker.sendall("{} {}".format(*in_use()).encode())


def begin(name: str) -> None:
    """Listen, in a thread that no signal is given to."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"\0{name}")
    server.listen()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=tell, args=(server,), name="within", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


if VARIABLE in os.environ:
    begin(os.environ[VARIABLE])
