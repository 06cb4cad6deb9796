"""The settings: flag over variable over file over default, strict, and helpful when wrong."""

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Auth, ConfigError, Settings
from exporter.settings import units
from exporter.settings.flags import SettingRow, add_flags, load, overrides, settings_rows

TOKEN = "t1.a-secret-that-nobody-may-see"
ENVIRON = {"YC_IAM_TOKEN": TOKEN}
VALUES: dict[str, tuple[str, str, str]] = {
    "api.endpoint": ("https://one.example", "https://two.example", "https://three.example"),
    "api.iam_endpoint": ("https://one.example", "https://two.example", "https://three.example"),
    "api.timeout": ("1s", "2m", "0.5s"),
    "api.concurrency": ("1", "2", "3"),
    "api.requests_per_second": ("0.5", "2.0", "3.25"),
    "api.max_response_bytes": ("1KiB", "2MiB", "3000"),
    "executions": ("one", "two,three", "four"),
    "executions_file": ("/one", "/two", "/three"),
    "workflows": ("one", "two,three", "four"),
    "folders": ("one", "two,three", "four"),
    "lookback": ("1d", "2d", "1w"),
    "history.enabled": ("true", "false", "true"),
    "history.max_steps": ("1", "2", "3"),
    "recent_window": ("1m", "2m", "3m"),
    "scrape.timeout": ("1s", "2s", "3s"),
    "scrape.timeout_offset": ("0s", "0.25s", "1s"),
    "state.file": ("/one", "/two", "/three"),
    "labels": ("one", "two,three", "four"),
    "quota.active_executions": ("1", "2", "3"),
    "quota.workflows": ("1", "2", "3"),
    "web.listen_address": (":1", "127.0.0.1:2,[::1]:3", "localhost:4"),
    "web.config_file": ("/one", "/two", "/three"),
    "web.enable_lifecycle": ("true", "false", "true"),
    "log.level": ("debug", "warn", "error"),
    "log.format": ("json", "logfmt", "json"),
}
ROWS = [row for row in settings_rows() if not row.key.startswith("auth.")]


def flags(*arguments: str) -> dict[str, Any]:
    """Return what these flags say."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return overrides(parser.parse_args(arguments))


def flag(row: SettingRow, value: str) -> str:
    """Return the flag that gives a setting this value."""
    if row.kind == "switch":
        return row.flag if value == "true" else "--no-" + row.flag.removeprefix("--")
    return f"{row.flag}={value}"


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return a tree with one value in it."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def written(path: Path, tree: Any) -> dict[str, str]:
    """Write a YAML file and return the variable that names it."""
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return {"YC_WORKFLOW_CONFIG__FILE": str(path)}


def shown(settings: Settings, key: str) -> str:
    """Return a setting as people write it."""
    value: Any = yaml.safe_load(settings.public_yaml())
    for part in key.split("."):
        value = value[part]
    if isinstance(value, list):
        return ",".join(item["id"] if isinstance(item, dict) else item for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def problems(tree: Any, tmp_path: Path, **environ: str) -> str:
    """Return what is said of a file that is wrong."""
    with pytest.raises(ConfigError) as caught:
        load({}, {**ENVIRON, **written(tmp_path / "config.yml", tree), **environ})
    return str(caught.value)


def refused(environ: Mapping[str, str], *given: str) -> str:
    """Return what is said of flags and variables that are wrong."""
    with pytest.raises(ConfigError) as caught:
        load(flags(*given), environ)
    return str(caught.value)


def test_every_setting_has_a_value_to_be_tested_with() -> None:
    """A new setting cannot be added without a test of its names."""
    assert {row.key for row in ROWS} == set(VALUES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_flag_goes_over_variable_over_file_over_default(row: SettingRow, tmp_path: Path) -> None:
    """Each setting arrives by each of its names, the nearest to the command line first."""
    first, second, third = VALUES[row.key]
    many = [{"id": v} if row.key == "folders" else v for v in first.split(",")]
    tree = nested(
        row.key, many if row.kind == "list" else yaml.safe_load(first) if row.kind == "switch" else first
    )
    environ = {**ENVIRON, **written(tmp_path / "config.yml", tree)}
    assert shown(load({}, environ), row.key) == first
    environ[row.variable] = second
    assert shown(load({}, environ), row.key) == second
    assert shown(load(flags(flag(row, third)), environ), row.key) == third


@pytest.mark.parametrize("row", settings_rows(), ids=lambda row: row.key)
def test_a_mistyped_key_is_told_with_the_right_name(row: SettingRow, tmp_path: Path) -> None:
    """In the file and in the environment alike."""
    wrong = row.key[:-1] + ("x" if row.key[-1] != "x" else "y")
    text = problems(nested(wrong, "1"), tmp_path)
    assert f"{tmp_path}/config.yml" in text
    assert "unknown key; did you mean " in text
    text = problems({}, tmp_path, **{row.variable[:-1] + "Q": "1"})
    assert "unknown variable; did you mean YC_WORKFLOW_" in text


WRONG: list[tuple[Any, str]] = [
    ({"executions": ["a b"]}, "executions.0: 'a b': not an ID"),
    ({"executions": [["a"]]}, "executions.0: not an ID"),
    ({"executions": [{"id": "a", "alais": "b"}]}, "unknown key; did you mean executions.0.alias?"),
    ({"executions": [{"id": "a", "alias": "x"}, {"id": "a", "alias": "y"}]}, "1: 'a' is given twice"),
    ({"executions": [{"alias": "x"}]}, "executions.0.id: is missing"),
    ({"api": {"timeout": "soon"}}, "api.timeout: 'soon': not a duration; write it like 5s"),
    ({"api": {"timeout": 0}}, "api.timeout: 0: must be at least 1ms"),
    ({"api": {"timeout": "0.5ms"}}, "must be at least 1ms"),
    ({"lookback": "3651d"}, "lookback: '3651d': must be at most 3650d"),
    ({"lookback": 1e300}, "must be at most 3650d"),
    ({"api": {"max_response_bytes": "16 parsecs"}}, "not a size; write it like 16MiB"),
    ({"api": {"max_response_bytes": 0}}, "0: must be at least 1 byte"),
    ({"api": {"max_response_bytes": "2TiB"}}, "must be at most 1TiB"),
    ({"api": {"concurrency": 0}}, "api.concurrency: 0: must be a whole number from 1 to 1024"),
    ({"api": {"concurrency": 1.5}}, "1.5: must be a whole number from 1 to 1024"),
    ({"api": {"concurrency": True}}, "true: must be a whole number from 1 to 1024"),
    ({"api": {"requests_per_second": float("nan")}}, "must be a number from 0.001 to 100000"),
    ({"api": {"requests_per_second": 1e20}}, "must be a number from 0.001 to 100000"),
    ({"api": {"requests_per_second": "1e300"}}, "must be a number from 0.001 to 100000"),
    ({"api": {"requests_per_second": 0.0001}}, "must be a number from 0.001 to 100000"),
    ({"scrape": {"timeout": "1s", "timeout_offset": "2s"}}, "offset, 2s, must be smaller than timeout, 1s"),
    ({"scrape": {"timeout_offset": "10s"}}, "timeout_offset, 10s, must be smaller than timeout, 10s"),
    ({"auth": {"metadata": True, "iam_token_file": "t"}}, "iam_token_file and metadata are given"),
    ({"auth": {"iam_token": "<secret>"}}, "auth.iam_token: is what /config shows in the place of a token"),
    ({"auth": {"metadata": {"endpoint": "http://198.51.100.1"}}}, "loopback and link-local addresses only"),
    ({"auth": {"metadata": "perhaps"}}, "auth.metadata: must be true, false, or a URL"),
    ({"auth": {"metadata": 5}}, "auth.metadata: must be true, false, or a URL"),
    ({"auth": {"workload_identity": {"token_file": "t"}}}, "service_account_id: is missing"),
    ({"auth": {"service_account_key_file": " "}}, "auth.service_account_key_file: is empty; give the name"),
    ({"auth": {"service_account_key_file": "{}"}}, "holds the key itself; give the name of a file"),
    ({"auth": {"iam_token_file": "t1.abcdefghijkl"}}, "holds the secret itself; give the name of a file"),
    ({"auth": {"service_account_key_file": "A comment\n-----BEGIN"}}, "holds the secret itself;"),
    ({"executions": ["y0_abcdefghijkl"]}, "executions.0: '<secret>': not an ID"),
    ({"api": {"endpoint": "http://[::1]evil.example"}}, "not a base URL; write it like https://host"),
    ({"state": {"file": 5}}, "state.file: 5: must be the name of a file"),
    ({"log": {"level": "loud"}}, "log.level: 'loud': must be debug, info, warn or error"),
    ({"history": {"enabled": "perhaps"}}, "history.enabled: 'perhaps': must be true or false"),
    ({"labels": ["Team"]}, "labels.0: 'Team': not a label key"),
    ({"folders": [{"id": "a", "labels": ["x"]}]}, "folders.0.labels: must be a mapping"),
    ({"executions": [{"id": "a", "alias": "x" * 129}]}, "at most 128 printable characters"),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "said"), WRONG)
def test_a_wrong_value_is_told_with_place_value_and_remedy(tree: Any, said: str, tmp_path: Path) -> None:
    """One line, which names the file and the line of it."""
    text = problems(tree, tmp_path)
    assert said in text
    assert text.startswith(f"{tmp_path}/config.yml:")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://cloud.example", "cloud.example", "https://", "https://h:", "https://h:99999", " https://h",
        "https://h h", "https://h/a b", "https://h\x1b", "https://...", "https://a..b", "https://-a",
        "https://[::1", "ftp://h", "https://bücher.example", "https://256.1.1.1", "https://h\n",
    ],
)  # fmt: skip
def test_what_is_no_safe_base_url_is_refused(url: str, tmp_path: Path) -> None:
    """Before a request could go astray with a token."""
    text = problems({"api": {"endpoint": url}}, tmp_path)
    assert "write it like https://host" in text or "must be https" in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["https://u:SECRET@h", "https://h?token=SECRET", "https://h#SECRET", "SECRET@h"]
)
def test_a_url_with_a_secret_in_it_is_not_repeated(url: str, tmp_path: Path) -> None:
    """A password, a query or a fragment is refused unseen."""
    for tree in ({"api": {"endpoint": url}}, {"auth": {"metadata": {"endpoint": url}}}):
        text = problems(tree, tmp_path)
        assert "no user, password, query or fragment" in text
        assert "SECRET" not in text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("10317", 'here ":10317"'), (10317, 'here ":10317"'), ("...:20404", "not an address"),
        ("a b:1", "not an address"), (":99999", "not an address"), ("[::1:1", "not an address"),
        ("[1.2]:1", "not an address"), ("300.1.1.1:1", "not an address"), (":1x", "not an address"),
        ([":1", ":1"], "web.listen_address.1: ':1': is given twice"), ([], "is empty; give at least one"),
        (["Host:1", "host:1"], "'host:1': is given twice"),
    ],
)  # fmt: skip
def test_what_is_no_address_to_listen_on_is_refused(value: Any, said: str, tmp_path: Path) -> None:
    """A bare port is told as it should be written."""
    assert said in problems({"web": {"listen_address": value}}, tmp_path)


@pytest.mark.parametrize("value", ["[::]:10317", "[::1]:10317,[::]:1", "localhost:1 :2", '["[::1]:10317"]'])
def test_an_address_in_brackets_is_no_json_list(value: str, tmp_path: Path) -> None:
    """In a variable, in a flag and in the file."""
    wanted = tuple(value.strip('[]"').replace(",", " ").split()) if value[1] != '"' else ("[::1]:10317",)
    wanted = tuple(each if each.count("]") == each.count("[") else f"[{each}" for each in wanted)
    in_file = written(tmp_path / "config.yml", {"web": {"listen_address": value}})
    in_variable = {"YC_WORKFLOW_WEB__LISTEN_ADDRESS": value}
    assert load({}, ENVIRON | in_file).web.listen_address == wanted
    assert load({}, ENVIRON | in_variable).web.listen_address == wanted
    assert load(flags(f"--web.listen-address={value}"), ENVIRON).web.listen_address == wanted


@pytest.mark.parametrize("section", ["auth", "api", "web", "scrape", "log", "auth.workload_identity"])
@pytest.mark.parametrize("value", ["foo", ["a"], 5])
def test_a_section_that_is_no_mapping_is_refused_whatever_others_say(
    section: str, value: Any, tmp_path: Path
) -> None:
    """A flag or a variable does not hide what is wrong with the file."""
    variables = {
        "YC_WORKFLOW_AUTH__IAM_TOKEN": TOKEN, "YC_WORKFLOW_API__TIMEOUT": "1s",
        "YC_WORKFLOW_WEB__LISTEN_ADDRESS": ":1", "YC_WORKFLOW_LOG__LEVEL": "info",
    }  # fmt: skip
    text = problems(nested(section, value), tmp_path, **variables)
    line = 1 + section.count(".")
    assert text == f"{tmp_path}/config.yml:{line}: {section}: must be a mapping of keys to values"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Api: {timeout: 1s}", "Api: unknown key; did you mean api?"),
        ("api: {Timeout: 1s}", "api.Timeout: unknown key; did you mean api.timeout?"),
        ("api.endpoint: x", "nest it: api: {endpoint: ...}"),
        ("auth.metadata.endpoint: x", "nest it: auth: {metadata: {endpoint: ...}}"),
        ("api: {url: x}", "did you mean api.endpoint?"),
        ("api: {rps: 1}", "did you mean api.requests_per_second?"),
        ("web: {port: 1}", "did you mean web.listen_address?"),
        ("executions: [{id: a, name: b}]", "did you mean executions.0.alias?"),
        ("auth: {key_file: x}", "did you mean auth.service_account_key_file?"),
        ("auth: {sa_key_file: x}", "did you mean auth.service_account_key_file?"),
        ("auth: {token: x}", "did you mean auth.iam_token_file?"),
        ("state: {path: x}", "did you mean state.file?"),
        ("web: {listen-address: ':1'}", "did you mean web.listen_address?"),
        ("quota: {zzz: 1}", "unknown key; known in quota are active_executions, workflows"),
        ("executions: [{id: a, zzz: 1}]", "known in executions.0 are id, alias"),
        ("folders: [{id: a, zzz: 1}]", "known in folders.0 are id, include, exclude, labels"),
        ("5: 1", "5: unknown key; known here are api, auth"),
        ("on: 1", "true: unknown key"),
        ("t1.abcdefghijkl: 1", "<secret>: unknown key"),
    ],
)
def test_an_unknown_key_is_told_with_the_right_one_of_its_section(
    text: str, said: str, tmp_path: Path
) -> None:
    """However it is wrong: in its case, its dots, or another word for it."""
    assert said in problems(text, tmp_path).splitlines()[0]


def test_a_mistyped_key_stands_before_one_that_is_missing(tmp_path: Path) -> None:
    """The cause before its effect."""
    first, second = problems("executions: [{ids: a}]", tmp_path).splitlines()
    assert "executions.0.ids: unknown key; did you mean executions.0.id?" in first
    assert "executions.0.id: is missing" in second


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("0123", "a number"), ("1.50", "a number"), ("0x1F", "a number"), ("12", "a number"),
        ("no", "true or false"), ("True", "true or false"), ("2024-01-01", "a date"),
    ],
)  # fmt: skip
def test_what_yaml_reads_as_something_else_is_to_be_quoted(word: str, kind: str, tmp_path: Path) -> None:
    """The remedy is the word as it stands in the file, wherever text is meant."""
    for place, text in (
        ("executions.0", f"executions: [{word}]"),
        ("executions.0", f"executions: {word}"),
        ("executions.0.id", f"executions: [{{id: {word}}}]"),
        ("executions.0.alias", f"executions: [{{id: a, alias: {word}}}]"),
        ("labels.0", f"labels: [{word}]"),
        ("folders.0.include.0", f"folders: [{{id: a, include: {word}}}]"),
        ("folders.0.labels.team", f"folders: [{{id: a, labels: {{team: {word}}}}}]"),
        ("auth.workload_identity.service_account_id",
         f"auth: {{workload_identity: {{service_account_id: {word}, token_file: t}}}}"),
    ):  # fmt: skip
        said = f'{place}: {word}: is {kind}, not text; quote it, as "{word}"'
        assert said in problems(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("api:\n  timeout:\n", "api.timeout"), ("lookback:\n", "lookback"), ("state: {file: }", "state.file"),
        ("auth: {metadata: }", "auth.metadata"), ("auth: {iam_token_file: }", "auth.iam_token_file"),
        ("executions:\n  -\n", "executions.0"), ("executions: [{id: }]", "executions.0.id"),
        ("executions: [{id: a, alias: }]", "executions.0.alias"),
        ("workflows: [{id: a, expected_success_interval: }]", "workflows.0.expected_success_interval"),
        ("folders: [{id: a, labels: {team: }}]", "folders.0.labels.team"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_there_is_told_as_empty(text: str, place: str, tmp_path: Path) -> None:
    """Once, and with the file's name; a written null may have been meant as a word."""
    told = problems(text, tmp_path)
    assert told.startswith(f"{tmp_path}/config.yml:")
    assert told.endswith(f": {place}: is empty; remove the line or give a value")
    null = text.replace(": }", ": null }").replace(":\n", ": null\n").replace("-\n", "- null\n")
    null = null.replace("api: null", "api:").replace("executions: null", "executions:")
    assert (
        f'{place}: null: is nothing to YAML; remove it, or quote it if the word is meant: "null"'
        in problems(null, tmp_path)
    )


def test_the_line_of_the_file_is_told(tmp_path: Path) -> None:
    """Also of items, and of what an alias or a merge brings in."""
    text = "base: &base\n  timeout: soon\napi:\n  <<: *base\nexecutions:\n  - a\n  - id: b\n    alias: 5\n"
    told = problems(text, tmp_path).replace(f"{tmp_path}/", "")
    assert "config.yml:1: base: unknown key" in told
    assert "config.yml:2: api.timeout: 'soon'" in told
    assert "config.yml:8: executions.1.alias: 5" in told


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ((), {"YC_TOKEN": "y0_abcdefghijklmn"}, "YC_TOKEN: auth.iam_token: is an OAuth token"),
        ((), {"YC_IAM_TOKEN": "a b"}, "YC_IAM_TOKEN: auth.iam_token: must be an IAM token"),
        ((), {"YC_WORKFLOW_AUTH__IAM_TOKEN": "<secret>"}, "AUTH__IAM_TOKEN: auth.iam_token: is what"),
        ((), {"YC_SERVICE_ACCOUNT_KEY_FILE": '{"id": "SECRET"}'},
         "YC_SERVICE_ACCOUNT_KEY_FILE: auth.service_account_key_file: holds the key itself; give the name"),
        ((), {**ENVIRON, "yc_workflow_lookback": "soon"}, "yc_workflow_lookback: lookback: 'soon': "),
        ((), {**ENVIRON, "YC_WORKFLOW_FOLDERS": "a,b/c"}, "YC_WORKFLOW_FOLDERS: folders.1: 'b/c': not an ID"),
        ((), {**ENVIRON, "YC_WORKFLOW_FOLDERS": "[1]"}, '1: is a number, not text; quote it, as "1"'),
        ((), {**ENVIRON, "YC_WORKFLOW_EXECUTIONS": '["a'}, "not a JSON list; write it like a,b"),
        (("--api.timeout=soon",), ENVIRON, "--api.timeout: 'soon': not a duration"),
        (("--api.max-response-bytes=x",), ENVIRON, "--api.max-response-bytes: 'x': not a size"),
        (("--execution=a b/c",), ENVIRON, "--execution: executions.1: 'b/c': not an ID"),
        (("--execution=",), ENVIRON, "--execution: executions.0: '': not an ID"),
        (("--auth.metadata=http://a",), {}, "--auth.metadata: auth.metadata.endpoint: 'http://a': must be"),
        (("--scrape.timeout-offset=9s",), {**ENVIRON, "YC_WORKFLOW_SCRAPE__TIMEOUT": "8s"},
         "YC_WORKFLOW_SCRAPE__TIMEOUT and --scrape.timeout-offset: scrape: timeout_offset, 9s, must be"),
        (("--auth.metadata=yes", "--auth.iam-token-file=t"), {},
         "--auth.iam-token-file and --auth.metadata: auth: iam_token_file and metadata are given"),
        (("--config.file=",), ENVIRON, "--config.file: is empty; give the name of a file"),
        (("--config.file=/nowhere",), ENVIRON, "/nowhere: cannot be read: No such file or directory; is --"),
        ((), {**ENVIRON, "yc_workflow_config__file": "/nowhere"}, "; is yc_workflow_config__file right?"),
        (("--state.file=",), ENVIRON, "--state.file: is empty; give the name of a file"),
    ],
)  # fmt: skip
def test_a_problem_names_the_source_of_its_value(
    given: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    """The flag, or the variable by the name that it really had; never a secret."""
    text = refused(environ, *given)
    assert said in text
    assert len(text.splitlines()) == 1
    assert "SECRET" not in text
    assert "y0_" not in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("YC_WORKFLOW_TOKEN", "did you mean YC_WORKFLOW_AUTH__IAM_TOKEN?"),
        ("YC_WORKFLOWS_EXECUTIONS", "did you mean YC_WORKFLOW_EXECUTIONS?"),
        ("YC_WORKFLOWAPI__TIMEOUT", "did you mean YC_WORKFLOW_API__TIMEOUT?"),
        ("YC_WORKFLOW_CONFIG_FILE", "did you mean YC_WORKFLOW_CONFIG__FILE?"),
        ("YC_WORKFLOW_ZZZZZ", "unknown variable; yc-workflow-exporter --help lists them"),
        ("YC_WORKFLOW_t1.abcdefghijklmn", "YC_WORKFLOW_<secret>: unknown variable"),
        ("YC_WORKFLOW_\x1b[31m", "YC_WORKFLOW_\\x1b[31m: unknown variable"),
    ],
)
def test_a_variable_that_looks_like_ours_is_told(name: str, said: str) -> None:
    """Whatever is wrong with its name."""
    assert said in refused({**ENVIRON, name: "1"})


def test_two_variables_that_differ_in_case_only_are_refused() -> None:
    """Nobody could say which one counts."""
    environ = {**ENVIRON, "YC_WORKFLOW_LABELS": "a", "yc_workflow_labels": "b"}
    assert refused(environ) == "YC_WORKFLOW_LABELS and yc_workflow_labels: differ in case only; keep one"


OFF = ("false", "False", "no", "OFF", "0")


@pytest.mark.parametrize("word", OFF)
def test_metadata_that_is_off_is_no_way_to_authenticate(word: str, tmp_path: Path) -> None:
    """In a flag, a variable or the file: not given, whatever else is."""
    key_file = written(tmp_path / "key.yml", {"auth": {"service_account_key_file": "k"}})
    on = written(tmp_path / "on.yml", {"auth": {"metadata": {"endpoint": "http://127.0.0.1:1"}}})
    in_file = written(tmp_path / "off.yml", f"auth: {{metadata: {word}}}")
    as_text = written(tmp_path / "text.yml", {"auth": {"metadata": word}})
    in_variable = {"YC_WORKFLOW_AUTH__METADATA": word}
    off = f"--auth.metadata={word}"
    for environ, words in ((in_file, ()), (as_text, ()), (in_variable, ()), ({}, (off,)), (on, (off,))):
        assert "auth: no credentials" in refused(environ, *words)
        assert load(flags(*words), environ | ENVIRON).auth.ways() == ["iam_token"]
    assert load(flags(off), key_file).auth.ways() == ["service_account_key_file"]
    assert load({}, key_file | in_variable).auth.ways() == ["service_account_key_file"]
    assert "no credentials" in refused(
        in_variable | {"YC_WORKFLOW_AUTH__METADATA__ENDPOINT": "http://127.0.0.1"}
    )


@pytest.mark.parametrize(
    "given", ["--auth.metadata", "--auth.metadata=yes", "--auth.metadata=http://127.0.0.1:1"]
)
def test_metadata_that_is_on_keeps_what_lies_below_it(given: str, tmp_path: Path) -> None:
    """The word of a flag does not take away the endpoint that the file gives."""
    environ = written(tmp_path / "config.yml", {"auth": {"metadata": {"endpoint": "http://127.0.0.1:1"}}})
    metadata = load(flags(given), environ).auth.metadata
    assert metadata is not None
    assert metadata.endpoint == "http://127.0.0.1:1"


def test_settings_without_credentials_cannot_be_made() -> None:
    """Nothing falls back to the metadata service in silence."""
    with pytest.raises(ValueError, match="no credentials"):
        Auth()


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        (["a", "b", "a"], [("a", ""), ("b", "")]),
        (["a", {"id": "a", "alias": "x"}, "b"], [("a", "x"), ("b", "")]),
        ([{"id": "a", "alias": "x"}, "a", {"id": "a", "alias": "x"}], [("a", "x")]),
    ],
)
def test_an_execution_that_comes_twice_is_kept_once(
    items: list[Any], kept: list[tuple[str, str]], tmp_path: Path
) -> None:
    """With its alias, if one of them has one."""
    settings = load({}, ENVIRON | written(tmp_path / "config.yml", {"executions": items}))
    assert [(each.id, each.alias) for each in settings.executions] == kept


def test_a_list_in_a_variable_is_separated_as_people_do() -> None:
    """Commas, spaces, line breaks, or JSON."""
    for value in ("a,b,c", "a b  c", "a\nb\nc\n", " a, b,\n c", '["a", "b", {"id": "c"}]'):
        settings = load({}, {**ENVIRON, "YC_WORKFLOW_EXECUTIONS": value})
        assert [each.id for each in settings.executions] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("log.level", "WARNING", "warn"), ("log.level", "Info", "info"), ("log.format", "JSON", "json"),
        ("history.enabled", "YES", "true"), ("history.enabled", "off", "false"),
        ("api.timeout", "1m 30s", "90s"), ("api.max_response_bytes", "16 Mi", "16MiB"),
        ("api.requests_per_second", ".5", "0.5"), ("api.endpoint", "https://h/", "https://h"),
    ],
)  # fmt: skip
def test_a_value_may_be_written_as_people_do(key: str, value: str, meant: str) -> None:
    """In any case, with spaces, and in words."""
    row = next(row for row in ROWS if row.key == key)
    assert shown(load(flags(f"{row.flag}={value}"), ENVIRON), key) == meant


def test_a_file_may_be_a_pipe(tmp_path: Path) -> None:
    """Its paths are relative to where the exporter was started; read again it is not taken for empty."""
    reading, writing = os.pipe()
    os.write(writing, b"executions: [a]\nstate: {file: s.db}\n")
    os.close(writing)
    settings = load(flags(f"--config.file=/dev/fd/{reading}"), ENVIRON)
    assert "is empty: a pipe is read once" in refused(ENVIRON, f"--config.file=/dev/fd/{reading}")
    os.close(reading)
    assert [each.id for each in settings.executions] == ["a"]
    assert settings.state.file == Path("s.db")
    assert (
        load({}, ENVIRON | written(tmp_path / "c.yml", {"state": {"file": "s.db"}})).state.file
        == tmp_path / "s.db"
    )


def test_a_name_that_has_something_like_a_token_in_it_is_a_name() -> None:
    """Only what begins like a secret is taken for one."""
    settings = load(flags("--auth.iam-token-file=/run/t1.production-token"), {})
    assert settings.auth.iam_token_file == Path("/run/t1.production-token")


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path) -> None:
    """In every source, where no shell has made it so."""
    home = Path.home()
    in_file = written(tmp_path / "config.yml", {"state": {"file": "~/s"}})
    assert load({}, ENVIRON | in_file).state.file == home / "s"
    assert load({}, {**ENVIRON, "YC_WORKFLOW_STATE__FILE": "~/s"}).state.file == home / "s"
    assert load(flags("--state.file=~/s"), ENVIRON).state.file == home / "s"
    assert f"{home}/nowhere/c.yml: cannot be read" in refused(ENVIRON, "--config.file=~/nowhere/c.yml")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one line at a time."""
    text = problems({"api": {"timeout": "soon", "concurrency": 0}, "log": {"level": "loud"}}, tmp_path)
    assert len(text.splitlines()) == 3


def test_a_flood_of_problems_is_cut_short(tmp_path: Path) -> None:
    """The first fifty, and how many more there are."""
    lines = problems({"executions": ["a b"] * 60}, tmp_path).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "and 10 more problems"


def test_without_a_way_to_authenticate_the_ways_are_listed() -> None:
    """The message names every way."""
    with pytest.raises(ConfigError, match=r"auth\.service_account_key_file, auth\.metadata"):
        load({}, {})


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({"YC_IAM_TOKEN": "t1.a", "YC_TOKEN": "t1.b"}, "t1.a"),
        ({"YC_TOKEN": "t1.b", "YC_SERVICE_ACCOUNT_KEY_FILE": "/key"}, "t1.b"),
        ({"YC_WORKFLOW_AUTH__IAM_TOKEN": "t1.c", "YC_IAM_TOKEN": "t1.a"}, "t1.c"),
    ],
)
def test_the_usual_variables_are_taken_in_their_order(environ: dict[str, str], way: str) -> None:
    """Ours first, then those that yc and Terraform use."""
    token = load({}, environ).auth.iam_token
    assert token is not None
    assert token.get_secret_value() == way


def test_a_way_nearer_to_the_command_line_replaces_the_others(tmp_path: Path) -> None:
    """A variable's token replaces the file's key; the usual variables do not."""
    environ = written(tmp_path / "config.yml", {"auth": {"service_account_key_file": "key.json"}})
    assert load({}, {**environ, **ENVIRON}).auth.ways() == ["service_account_key_file"]
    assert load({}, {**environ, "YC_WORKFLOW_AUTH__IAM_TOKEN": TOKEN}).auth.ways() == ["iam_token"]
    assert load(flags("--auth.metadata=true"), environ).auth.ways() == ["metadata"]


def test_a_section_or_list_without_anything_in_it_is_as_none(tmp_path: Path) -> None:
    """Who comments out the last key of a section need not comment out the section; unknown keys stay so."""
    assert load({}, {**ENVIRON, **written(tmp_path / "config.yml", "api:\nexecutions:\n")}).executions == ()
    assert "unknown key; did you mean executions?" in problems("exections:\n", tmp_path)


KUBERNETES = {
    "SERVICE_HOST": "10.0.0.7", "SERVICE_PORT": "10317", "SERVICE_PORT_HTTP": "10317",
    "PORT": "tcp://10.0.0.7:10317", "PORT_10317_TCP": "tcp://10.0.0.7:10317", "PORT_10317_TCP_PROTO": "tcp",
    "PORT_10317_TCP_PORT": "10317", "PORT_10317_TCP_ADDR": "10.0.0.7",
}  # fmt: skip


@pytest.mark.parametrize("service", ["YC_WORKFLOW", "YC_WORKFLOW_EXPORTER", "YC_WORKFLOW_EXPORTER_METRICS"])
def test_what_kubernetes_puts_into_a_pod_is_no_mistyped_setting(service: str) -> None:
    """A Service that is called like the exporter does not stop it; a port that a person set does."""
    injected = {f"{service}_{name}": value for name, value in KUBERNETES.items()}
    assert load({}, {**ENVIRON, **injected}) == load({}, ENVIRON)
    for name in (f"{service}_PORT", "YC_WORKFLOW_WEB__PORT"):
        with pytest.raises(ConfigError, match=f"{name}: unknown variable"):
            load({}, {**ENVIRON, name: "9000"})


def test_a_short_timeout_needs_no_shorter_offset(tmp_path: Path) -> None:
    """The default offset is taken from Prometheus' time, which the timeout caps."""
    settings = load({}, {**ENVIRON, **written(tmp_path / "config.yml", {"scrape": {"timeout": "300ms"}})})
    assert (settings.scrape.timeout, settings.scrape.timeout_offset) == (0.3, 0.5)


def test_a_token_may_stand_in_the_file(tmp_path: Path) -> None:
    """A file that is itself a secret, as one of Kubernetes, needs no second one."""
    settings = load({}, written(tmp_path / "config.yml", {"auth": {"iam_token": TOKEN}}))
    assert settings.auth.iam_token is not None
    assert settings.auth.iam_token.get_secret_value() == TOKEN
    assert TOKEN not in settings.public_yaml()


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    """As Prometheus does."""
    environ = written(tmp_path / "config.yml", {"auth": {"iam_token_file": "t"}, "executions_file": "/ids"})
    settings = load({}, environ)
    assert settings.auth.iam_token_file == tmp_path / "t"
    assert settings.executions_file == Path("/ids")


def test_secrets_are_in_no_text_of_the_settings(tmp_path: Path) -> None:
    """Neither repr nor YAML nor a message shows a token, wherever it was put by mistake."""
    settings = load({}, ENVIRON)
    for text in (repr(settings), str(settings), settings.public_yaml()):
        assert TOKEN not in text
    for key in ("api.endpoint", "api.timeout", "log.level", "executions", "auth.metadata", "history.enabled"):
        assert TOKEN not in problems(nested(key, TOKEN + "/"), tmp_path)


def test_the_effective_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    """What /config shows is a file that can be used."""
    arguments = [flag(row, VALUES[row.key][2]) for row in ROWS]
    settings = load(flags(*arguments, "--auth.iam-token-file=/t"), {})
    assert load({}, written(tmp_path / "again.yml", settings.public_yaml())) == settings


@given(st.floats(min_value=0.001, max_value=1e8))
@fuzzed(100)
def test_a_duration_that_is_written_reads_back(seconds: float) -> None:
    """To the nanosecond."""
    assert units.duration(units.duration_text(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.integers(min_value=0, max_value=2**40))
@fuzzed(100)
def test_a_size_that_is_written_reads_back(number: int) -> None:
    """To the byte."""
    assert units.size(units.size_text(number)) == number


@given(st.one_of(st.text(max_size=20), st.none(), st.booleans(), st.floats(), st.binary(max_size=5)))
@fuzzed(100)
def test_junk_is_no_duration_and_no_size(junk: Any) -> None:
    """Whatever is given gives a number within bounds, or a ValueError in our words."""
    for parse, most in ((units.duration, units.LONGEST), (units.size, units.LARGEST)):
        try:
            assert 0 <= parse(junk) <= most
        except ValueError as error:
            assert re.search("write it like|must be at most", str(error))  # noqa: PT017  # both are good


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5), ("5s", 5), ("5 s", 5), ("5sec", 5), ("5 seconds", 5), (".5s", 0.5), ("500ms", 0.5),
        ("1h30m", 5400), ("1h 30m", 5400), ("2 hours 5 min", 7500), ("8 days", 691200), ("1w", 604800),
        ("3650d", 315360000), (0.25, 0.25),
    ],
)  # fmt: skip
def test_a_duration_may_be_written_as_people_do(text: object, seconds: float) -> None:
    """With spaces and in words."""
    assert units.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["5s5s", "30m1h", "5ss", "5 parsecs", "1h30", "-5s", "s", "", "1e3", None, True]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Also one whose parts repeat or do not get smaller."""
    with pytest.raises(ValueError, match="not a duration; write it like"):
        units.duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16Mi", 2**24), ("16MiB", 2**24), ("16   MiB", 2**24), ("64Ki", 2**16), ("1Gi", 2**30),
        ("1T", 10**12), ("1TiB", 2**40), ("1.5k", 1500), ("5B", 5), (1048576, 2**20),
    ],
)  # fmt: skip
def test_a_size_may_be_written_as_people_do(text: object, size: int) -> None:
    """As Kubernetes does, too."""
    assert units.size(text) == size
