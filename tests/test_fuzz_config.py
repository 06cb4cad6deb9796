"""Whatever is configured: settings, or a line for each problem that says where it is, and never a secret."""

import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import fuzzed
from hostile import JSON, TEXTS, spoiled
from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.config import ConfigError, Settings
from exporter.settings.arguments import parsed
from exporter.settings.flags import load, overrides, settings_rows

MARK = "hushhushhush"
SECRETS = st.sampled_from([
    f"t1.{MARK}{MARK}", f"eyJ{MARK}.{MARK}.{MARK}", f"AQVN{MARK}", f"y0_{MARK}",
    f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----", f"https://user:{MARK}@host.example",
])  # fmt: skip
WORTHS = st.sampled_from([
    "https://one.example", "http://127.0.0.1:1", "http://[::1]:65535", "http://evil.example", "https://[",
    "1s", "0s", "5m", "1e9d", "16MiB", "1", "0", "-1", "1024", "true", "no", "0.5", "dfq1,dfq2",
    '["a", {"id": "b"}]', "[", ":10317",
    "[::1]:1", ":99999", "debug", "json", "/nowhere/file", "~/x", "~nobody/x", "{", "team,team",
])  # fmt: skip
ROWS = settings_rows()
SECONDS = 5.0
"""Of processor time, for what takes a hundredth of it."""


def configuration(token: str) -> dict[str, Any]:
    """Return a right configuration that says everything, with a secret in it."""
    return {
        "api": {"endpoint": "https://one.example", "iam_endpoint": "https://two.example", "timeout": "5s",
                "concurrency": 32, "requests_per_second": 0.5, "max_response_bytes": "16MiB"},
        "auth": {"iam_token": token},
        "executions": ["dfq1", {"id": "dfq2", "alias": "nightly"}], "executions_file": "ids.txt",
        "workflows": ["dfq3", {"id": "dfq4", "expected_success_interval": "25h"}],
        "folders": ["b1g1", {"id": "b1g2", "include": ["order-*"], "exclude": [], "labels": {"team": "pay"}}],
        "lookback": "8d", "history": {"enabled": False, "max_steps": 200}, "recent_window": "1h",
        "scrape": {"timeout": "10s", "timeout_offset": "0.5s"}, "state": {"file": "state.db"},
        "labels": ["team"], "quota": {"active_executions": 100, "workflows": 30},
        "web": {"listen_address": [":10317"], "config_file": "web.yml", "enable_lifecycle": False},
        "log": {"level": "info", "format": "logfmt"},
    }  # fmt: skip


def loaded(flags: dict[str, Any], environ: dict[str, str]) -> Settings | None:
    """Return the settings, None if they are refused in words; whatever else is raised is a find."""
    began = time.thread_time()
    try:
        settings = load(flags, environ)
    except ConfigError as error:
        refusal = str(error)
    else:
        assert MARK not in settings.public_yaml() + repr(settings)
        return settings
    assert time.thread_time() - began < SECONDS
    assert MARK not in refusal
    for line in refusal.split("\n"):
        assert line.isprintable()
        assert ": " in line or line.startswith(("no credentials", "and "))
        assert not any(word in line for word in ("Value error", "Input should", "<class", "Traceback"))
    return None


def from_file(text: str | bytes, folder: Path) -> Settings | None:
    """Load the settings of a file."""
    path = folder / "config.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return loaded({"config": {"file": str(path)}}, {"YC_IAM_TOKEN": "t1.a-token"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for a file that is written again and again."""
    return tmp_path_factory.mktemp("fuzz")


@given(spoiled(st.builds(configuration, SECRETS | st.just(MARK))), st.booleans())
@fuzzed(80)
def test_a_spoiled_configuration_is_taken_or_refused_in_words(folder: Path, tree: Any, plain: bool) -> None:
    """Each problem is a line that can be printed; the token is not in it, wherever it was put."""
    try:
        text = json.dumps(tree) if plain else yaml.safe_dump(tree, allow_unicode=True)
    except (RecursionError, yaml.YAMLError):
        assume(False)  # noqa: FBT003  # its only argument
    from_file(text, folder)


@given(SECRETS, st.sampled_from([row.key for row in ROWS]), st.sampled_from(["text", "list", "key", "item"]))
@fuzzed(100)
def test_a_secret_in_the_wrong_place_is_not_said(folder: Path, secret: str, key: str, how: str) -> None:
    """Whichever setting holds it, and however, no message and no page repeats it."""
    *levels, name = key.split(".")
    value: Any = {"text": secret, "list": [secret], "key": {secret: 1}, "item": [{"id": secret}]}[how]
    tree: Any = {name: value}
    for level in reversed(levels):
        tree = {level: tree}
    from_file(yaml.safe_dump(tree), folder)


WORDS = st.sampled_from([
    *(row.key.rpartition(".")[2] for row in ROWS), "api", "auth", "id", "alias", "include", "<<", "? ", ": ",
    "- ", "[", "]", "{", "}", ", ", "\n", "\n  ", "\n    ", "'", '"', "&a ", "*a", "!!binary ",
    "!!omap ", "!!pairs ", "!!set ", "!!timestamp ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ",
    "!!map ", "!!seq ", "!!python/none ", "!x ", "!", "| ", ">-\n", "%YAML 9.9\n", "--- ", "...\n", "0o17",
    "1:30", "190:20:30", "2001-01-01", "2001-13-45", "2001-12-14t21:59:43.10-05:00", ".nan", "-.inf", "=",
    "~", "#", "\t", "\\ud800", "\\x00", "AA==", "1" * 5000, f" t1.{MARK}", "x",
])  # fmt: skip


TAGS = st.sampled_from(["int", "float", "bool", "timestamp", "binary", "omap", "set", "null", "seq", "map"])
LINES = st.builds("{}: !!{} {}".format, st.sampled_from(["labels", "lookback", "api"]), TAGS, WORDS | TEXTS)


@given(st.one_of(
    st.lists(WORDS, max_size=24).map("".join), st.lists(WORDS, max_size=12).map(" ".join),
    st.lists(LINES, max_size=4).map("\n".join), st.lists(WORDS | TEXTS, max_size=12).map("\n".join),
    st.binary(max_size=60),
    st.tuples(st.sampled_from("[{-?!&*|'\"#%\n"), st.sampled_from([999, 10_000])).map(lambda t: t[0] * t[1]),
    st.tuples(st.sampled_from(["[", "{a: ", "- ", "? ", "a:\n "]), st.sampled_from([200, 5000])).map(
        lambda t: t[0] * t[1]),
))  # fmt: skip
@fuzzed(200)
def test_any_file_is_taken_or_refused_in_words(folder: Path, text: str | bytes) -> None:
    """Whatever bytes it holds, and in bounded time."""
    from_file(text, folder)


NAMES = st.sampled_from(
    [row.variable for row in ROWS] + ["YC_WORKFLOW_CONFIG_FILE", "YC_IAM_TOKEN", "YC_TOKEN"]
)
VARIABLES = (
    NAMES | NAMES.map(str.lower) | NAMES.map(lambda name: name[:-1]) | TEXTS.map("YC_WORKFLOW_{}".format)
)


@given(st.dictionaries(VARIABLES, WORTHS | SECRETS | TEXTS, max_size=8))
@example(
    {"YC_WORKFLOW_WEB__LISTEN_ADDRESS": f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----"}
)
@example({"YC_WORKFLOW_API__ENDPOINT": "https://a", "yc_workflow_api__endpoint": "https://a"})
@fuzzed(200)
def test_any_environment_is_taken_or_refused_in_words(environ: dict[str, str]) -> None:
    """Whatever variables there are, mistyped ones among them."""
    environ.pop("YC_WORKFLOW_CONFIG_FILE", None)
    loaded({}, environ)


FLAGS = st.sampled_from(
    [row.flag for row in ROWS if row.flag] + ["--live", "--port", "--speed", "--help", "-h"]
)
VALUES = WORTHS | SECRETS | TEXTS
ARGUMENTS = st.one_of(
    st.sampled_from(["serve", "check", "scrape", "simulate", "completion", "bash", "--", "-", "--version"]),
    st.tuples(FLAGS, VALUES).map("=".join), FLAGS, VALUES, VALUES.map("--{}".format),
)  # fmt: skip


@given(st.lists(ARGUMENTS, max_size=6))
@fuzzed(60)
def test_any_command_line_is_taken_or_refused_in_words(words: list[str]) -> None:
    """It ends with 0 or 2, or it gives settings; what is printed holds no secret."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            flags: dict[str, Any] | None = overrides(parsed(words))
        except SystemExit as ended:
            assert ended.code in {0, 2}  # noqa: PT017  # both ways out are good
            flags = None
    assert MARK not in printed.getvalue()
    if flags is not None:
        flags.pop("config", None)
        loaded(flags, {"YC_IAM_TOKEN": f"t1.{MARK}{MARK}"})


@given(JSON)
@example({"x": float("nan")})
@fuzzed(60)
def test_any_json_in_a_variable_is_taken_or_refused_in_words(value: Any) -> None:
    """Lists may be given as JSON, and so may anything else."""
    try:
        text = json.dumps([value])
    except RecursionError:
        text = "[" * 20_000
    for name in ("EXECUTIONS", "FOLDERS", "LABELS", "WEB__LISTEN_ADDRESS"):
        loaded({}, {f"YC_WORKFLOW_{name}": text, "YC_IAM_TOKEN": "t1.a-token"})
