"""The image: what can be said of it without building it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile is clean under hadolint."""
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_user_is_numeric_and_not_root() -> None:
    """Kubernetes can prove runAsNonRoot only of a number."""
    found = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert found
    assert "0" not in found[-1]


def test_the_health_check_needs_no_other_program() -> None:
    """The image has no curl, and needs none."""
    assert re.search(r"^HEALTHCHECK .*\n\s+CMD \[\"python\"", DOCKERFILE, re.MULTILINE)
    assert not re.search(r"curl|wget", DOCKERFILE)


def test_only_what_the_image_needs_is_sent_to_the_engine() -> None:
    """Everything is left out but what the Dockerfile copies."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert allowed == {name for names in copied for name in names.split()}
