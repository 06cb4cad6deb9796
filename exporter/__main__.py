"""The program `yc-workflow-exporter`, also `python -m exporter`."""

import signal


def main() -> None:
    """Run the program."""
    # SIGHUP means "reload". Until somebody listens for it, it must not mean the end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from exporter.cli import entry  # noqa: PLC0415  # takes a while, in which a SIGHUP may come

    entry()


if __name__ == "__main__":
    main()
