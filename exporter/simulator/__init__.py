"""The cloud in a box: Workflows, IAM, metadata and federation over real HTTP, with faults.

What the demo shows and the tests stand on. It shares no code with the exporter: the wire format is
written a second time here on purpose, so that a misreading in one place is seen in the other.
"""

from exporter.simulator.cloud import Simulator
from exporter.simulator.faults import Fault, FaultRule
from exporter.simulator.server import Call
from exporter.simulator.truth import Run, Truth
from exporter.simulator.values import Entry, Failure, Status

__all__ = ["Call", "Entry", "Failure", "Fault", "FaultRule", "Run", "Simulator", "Status", "Truth"]
