"""The settings: flag over variable over file over default, strict, and helpful when wrong."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter import units
from exporter.config import ConfigError, Settings
from exporter.flags import SettingRow, add_flags, load, overrides, settings_rows

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


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"executions": [123]}, "executions.0: 123: is a number to YAML; quote it"),
        ({"executions": ["a b"]}, "executions.0.id: 'a b': not an ID"),
        ({"executions": [{"id": "a", "alais": "b"}]}, "did you mean executions.0.alias?"),
        ({"executions": [{"id": "a", "alias": "x"}, {"id": "a", "alias": "y"}]}, "given twice"),
        ({"api": {"timeout": "soon"}}, "api.timeout: 'soon': not a duration; write it like 5s"),
        ({"api": {"timeout": 0}}, "must be greater than 0"),
        ({"api": {"max_response_bytes": "16 parsecs"}}, "not a size; write it like 16MiB"),
        ({"api": {"endpoint": "http://cloud.example"}}, "must be https"),
        ({"api": {"endpoint": "https://user:pw@cloud.example"}}, "no user, password"),
        ({"api": {"concurrency": 0}}, "api.concurrency: 0: "),
        ({"api": {"requests_per_second": float("nan")}}, "must be a number that is finite"),
        ({"api": 5}, "api: 5: must be a mapping"),
        ({"auth": {"metadata": True, "iam_token_file": "t"}}, "iam_token_file and metadata are given"),
        ({"auth": {"iam_token": "y0_abcdefghijklmnop"}}, "is an OAuth token"),
        ({"auth": {"metadata": {"endpoint": "http://198.51.100.1"}}}, "must be https"),
        ({"auth": {"workload_identity": {"token_file": "t"}}}, "service_account_id: is missing"),
        ({"web": {"listen_address": "10317"}}, "'10317': not an address; write it like :10317"),
        ({"log": {"level": "loud"}}, "log.level: 'loud': "),
        ({"history": {"enabled": "perhaps"}}, "must be true or false"),
        ("- a\n", "must be a mapping of keys to values"),
        ("executions: [a\nb: c\n", "line 2"),
        ("labels: [a]\nlabels: [b]\n", "line 2: the key labels comes twice"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_field_value_and_remedy(tree: Any, said: str, tmp_path: Path) -> None:
    """One line for each problem, and none of them a traceback."""
    text = problems(tree, tmp_path)
    assert said in text
    assert str(tmp_path / "config.yml") in text or "given twice" in text


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one line at a time."""
    text = problems({"api": {"timeout": "soon", "concurrency": 0}, "log": {"level": "loud"}}, tmp_path)
    assert len(text.splitlines()) == 3


def test_without_a_way_to_authenticate_the_ways_are_listed() -> None:
    """The message names every way."""
    with pytest.raises(ConfigError, match=r"auth\.service_account_key_file, auth\.metadata"):
        load({}, {})
    assert load({}, {}, need_auth=False).auth.ways() == []


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
def test_a_duration_that_is_written_reads_back(seconds: float) -> None:
    """To the nanosecond."""
    assert units.duration(units.duration_text(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.integers(min_value=0, max_value=2**40))
def test_a_size_that_is_written_reads_back(number: int) -> None:
    """To the byte."""
    assert units.size(units.size_text(number)) == number


@given(st.one_of(st.text(max_size=20), st.none(), st.booleans(), st.floats(), st.binary(max_size=5)))
def test_junk_is_no_duration_and_no_size(junk: Any) -> None:
    """Whatever is given gives a finite number or a ValueError."""
    for parse in (units.duration, units.size):
        try:
            assert 0 <= parse(junk) < float("inf")
        except ValueError as error:
            assert "write it like" in str(error)  # noqa: PT017  # both ways out are good
