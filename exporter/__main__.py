"""`python -m exporter` is the command `yc-workflow-exporter`."""

from exporter.cli import entry

entry()
