"""Bytes that a fuzzer grows towards code which none before have reached; the second half of `make fuzz`.

`python tests/guided.py` gives each parser `GUIDED_SECONDS` (30) under atheris, two at a time, and tells what
each has seen. The promises are those of the properties. What was found interesting is kept for the next run.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import answers
import atheris

with atheris.instrument_imports(include=["exporter"]) if len(sys.argv) > 1 else nullcontext():
    import test_fuzz_answers
    import test_fuzz_config
    import test_fuzz_cron
    import test_fuzz_webconfig

SECONDS = int(os.environ.get("GUIDED_SECONDS") or 30)
KEPT = Path(__file__).parent.parent / ".hypothesis" / "guided"
LONGEST = 4000
DONE = re.compile(r"Done ([0-9]+) runs in ([0-9]+) second")
REACHED = re.compile(r"cov: ([0-9]+)")


def checked(test: Any) -> Callable[..., None]:
    """Return what a property promises, for an input that something else has made."""
    found: Callable[..., None] = test.hypothesis.inner_test
    return found


def text(raw: bytes) -> str:
    """Return bytes as a text; what is no UTF-8 becomes what Python makes of it in file names."""
    return raw.decode("utf-8", "surrogateescape")


def of_json(raw: bytes) -> None:
    """Read an answer of the API, if it is JSON."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return
    checked(test_fuzz_answers.test_any_answer_to_any_call_is_read_or_refused)(body)
    for test in (
        test_fuzz_answers.test_a_spoiled_history_adds_up,
        test_fuzz_answers.test_a_spoiled_list_loses_no_item_in_silence,
    ):
        checked(test)(body)


def of_a_schedule(raw: bytes) -> None:
    """Look up a schedule, its zone after a line break."""
    expression, _, zone = text(raw).partition("\n")
    checked(test_fuzz_cron.test_any_schedule_is_refused_or_looked_up_soon)(expression, zone, 1_741_622_400.0)


def of_a_file(raw: bytes) -> None:
    """Read a configuration."""
    checked(test_fuzz_config.test_any_file_is_taken_or_refused_in_words)(KEPT, raw)


def of_words(raw: bytes) -> None:
    """Read a command line, a word a line."""
    checked(test_fuzz_config.test_any_command_line_is_taken_or_refused_in_words)(text(raw).split("\n"))


def of_a_web_file(raw: bytes) -> None:
    """Read a web configuration."""
    checked(test_fuzz_webconfig.test_texts_that_may_be_no_yaml_are_taken_or_refused_in_one_line)(raw)


def of_a_duration(raw: bytes) -> None:
    """Read a duration, as protobuf's parser does."""
    checked(test_fuzz_answers.test_a_duration_is_what_protobuf_says_or_is_refused)(text(raw))


def of_a_time(raw: bytes) -> None:
    """Read a timestamp, as protobuf's parser does."""
    checked(test_fuzz_answers.test_a_timestamp_is_what_protobuf_says_or_is_refused)(text(raw))


TARGETS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "answers": (of_json, json.dumps({
        **answers.execution("FAILED", "STEP_TIMEOUT"), "entries": [answers.entry("a", "FAILED", 1)],
        "executions": [answers.preview()], "workflow": answers.workflow(), "workflows": [answers.workflow()],
        "nextPageToken": "next",
    }).replace(answers.MARK, "x").encode()),
    "schedules": (of_a_schedule, b"0 3/5 L-3,LW FEB-APR ? 2024/4\nEurope/Moscow"),
    "durations": (of_a_duration, b"1.070697344s"),
    "timestamps": (of_a_time, b"2025-03-10T15:54:44.304781+03:00"),
    "configurations": (of_a_file, json.dumps(test_fuzz_config.configuration("t1.token"), indent=1).encode()),
    "command lines": (of_words, b"check\n--live\n--api.timeout=5s\n--execution\na\n--no-history.enabled"),
    "web files": (of_a_web_file, b"tls_server_config:\n  cert_file: a\nrate_limit:\n  burst: 1"),
}  # fmt: skip


def grow(name: str) -> None:
    """Feed one target until the time is over; ends the process, with an error if a promise is broken."""
    folder = KEPT / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    check, seed = TARGETS[name]
    (folder / "seed").write_bytes(seed)
    limits = (f"-max_total_time={SECONDS}", f"-max_len={LONGEST}", f"-artifact_prefix={KEPT}/found-")
    atheris.Setup([sys.argv[0], *limits, str(folder)], check)
    atheris.Fuzz()


def told(name: str) -> bool:
    """Let a process of its own feed a target; tell what it has seen, and whether all went well."""
    done = subprocess.run(
        [sys.executable, __file__, name],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    runs, reached = DONE.search(done.stderr), REACHED.findall(done.stderr)
    if done.returncode or not runs or not reached:
        sys.stdout.write(f"{name}: found\n{done.stderr[-4000:]}\n")
        return False
    sys.stdout.write(f"{int(runs[1]):>9,} inputs {int(runs[2]):8} s  {name}, {reached[-1]} edges reached\n")
    sys.stdout.flush()
    return True


def main() -> int:
    """Feed all targets, two at a time; return 0 if nothing was found."""
    if len(sys.argv) > 1:
        grow(sys.argv[1])
    with ThreadPoolExecutor(2) as pool:
        return 0 if all(list(pool.map(told, TARGETS))) else 1


if __name__ == "__main__":
    sys.exit(main())
