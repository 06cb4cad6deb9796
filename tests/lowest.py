"""The lowest version of each library that the package is said to work with; run, it prints requirements."""

import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def lowest() -> dict[str, str]:
    """Return the lower bounds by the names of the libraries; raises ValueError for what has another bound."""
    found = {}
    for each in PROJECT["dependencies"]:
        name, version = each.split(">=")
        found[name] = version
    return found


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in lowest().items())
