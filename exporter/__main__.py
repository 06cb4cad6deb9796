"""The program `yc-workflow-exporter`, also `python -m exporter`."""

import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Run the program."""
    # To load it takes a while. A signal that comes meanwhile waits until somebody listens: SIGHUP must not
    # mean the end, and the first process of a container would lose SIGTERM.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from exporter.cli import entry  # noqa: PLC0415  # what takes the while

    entry()


if __name__ == "__main__":
    main()
