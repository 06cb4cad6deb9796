"""The command line: forgiving in its order, strict in its names, silent about secrets."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

import pytest
import shtab
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from exporter.settings.about import PROGRAM, about
from exporter.settings.arguments import COMMANDS, parsed, parser
from exporter.settings.flags import overrides

USAGE = f"usage: {PROGRAM} COMMAND [flags]; --help lists them"
NEVER = "a token is never taken from the command line"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line that is told of a command line that is wrong."""
    with pytest.raises(SystemExit) as caught:
        parsed(words)
    assert caught.value.code == 2
    usage, line = capsys.readouterr().err.splitlines()
    assert usage == USAGE
    assert line.isprintable()
    return line.removeprefix(f"{PROGRAM}: ")


@pytest.mark.parametrize(
    ("words", "command", "settings"),
    [
        ("", None, {}),
        ("--execution a check --execution b", "check", {"executions": ["a", "b"]}),
        ("check --execution a,b --execution=c", "check", {"executions": ["a", "b", "c"]}),
        ("--log.level debug check --log.level info", "check", {"log": {"level": "info"}}),
        ("--history.enabled check", "check", {"history": {"enabled": "true"}}),
        ("--history.enabled=true check", "check", {"history": {"enabled": "true"}}),
        ("--history.enabled FALSE check", "check", {"history": {"enabled": "FALSE"}}),
        ("check --no-history.enabled", "check", {"history": {"enabled": "false"}}),
        ("check --history.enabled --no-history.enabled", "check", {"history": {"enabled": "false"}}),
        ("--auth.metadata serve", "serve", {"auth": {"metadata": "true"}}),
        ("--auth.metadata http://[::1]:1 serve", "serve", {"auth": {"metadata": "http://[::1]:1"}}),
        ("--auth.metadata --auth.metadata.endpoint=http://[::1]", None,
         {"auth": {"metadata": {"endpoint": "http://[::1]"}}}),
        ("--auth.metadata=no --auth.metadata.endpoint=http://[::1]", None, {"auth": {"metadata": False}}),
        ("--config.file x --web.config.file y", None, {"config": {"file": "x"}, "web": {"config_file": "y"}}),
        ("--web.listen-address [::1]:1", None, {"web": {"listen_address": ["[::1]:1"]}}),
        ("--api.timeout -5", None, {"api": {"timeout": "-5"}}),
    ],
)  # fmt: skip
def test_flags_may_stand_before_and_after_the_subcommand(
    words: str, command: str | None, settings: dict[str, Any]
) -> None:
    """A list counts wherever it is given, of all else the last; a switch takes only its own words."""
    arguments = parsed(words.split())
    assert arguments.command == command
    assert overrides(arguments) == settings


def test_a_json_list_is_a_list_in_a_flag_too() -> None:
    """With its aliases."""
    arguments = parsed(['--execution=[{"id": "a", "alias": "b"}]', "--execution", "c d"])
    assert overrides(arguments) == {"executions": [{"id": "a", "alias": "b"}, "c", "d"]}


def test_the_flags_of_a_subcommand_may_stand_before_it() -> None:
    """As those of all may."""
    assert parsed(["--live", "check"]).live
    assert parsed(["--port", "0", "simulate", "--speed=2.5", "--latency", "50ms"]).port == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("serv", "serv: unknown command; did you mean serve?"),
        ("chek --live", "chek: unknown command; did you mean check?"),
        ("help", "help: unknown command; did you mean --help?"),
        ("version", "version: unknown command; did you mean --version?"),
        ("--versoin", "--versoin: unknown flag; did you mean --version?"),
        ("--hlep", "--hlep: unknown flag; did you mean --help?"),
        ("--verbose", "--verbose: unknown flag; did you mean --log.level?"),
        ("-v", "-v: unknown flag; did you mean --log.level?"),
        ("--listen :1", "--listen: unknown flag; did you mean --web.listen-address?"),
        ("--port 1", "--port: is a flag of simulate; did you mean --web.listen-address?"),
        ("simulate --prot 1", "--prot: unknown flag; did you mean --port?"),
        ("--executions a", "--executions: unknown flag; did you mean --execution?"),
        ("--api.timout=5s", "--api.timout: unknown flag; did you mean --api.timeout?"),
        ("check --no-web.enable-lifecycl",
         "--no-web.enable-lifecycl: unknown flag; did you mean --no-web.enable-lifecycle?"),
        ("--zzzzzzz=1", "--zzzzzzz: unknown flag; --help lists them"),
        ("-- serve", "--: unknown flag; --help lists them"),
        ("check --speed=1", "--speed: is a flag of demo and simulate"),
        ("--live", "--live: is a flag of check"),
        ("check --live=yes", "--live: takes no value"),
        ("--no-history.enabled=1", "--no-history.enabled: takes no value"),
        ("--api.timeout", "--api.timeout: needs a value; write it as --api.timeout=VALUE"),
        ("--api.timeout --live", "--api.timeout: needs a value; write it as --api.timeout=VALUE"),
        ("completion", "completion: needs one of bash, zsh, tcsh, fish, powershell"),
        ("completion bsh", "completion: the argument is not known; did you mean bash?"),
        ("simulate --port=99999", "--port: '99999': must be a port, from 0 to 65535"),
        ("simulate --speed=fast", "--speed: 'fast': must be a number, as 10 or 0.5"),
        ("simulate --seed=x", "--seed: 'x': must be a whole number"),
        ("simulate --latency=soon",
         "--latency: 'soon': not a duration; write it like 5s, 500ms, 1h30m or 8d"),
        ("demo --payload=1x", "--payload: '1x': not a size; write it like 16MiB, 64k or 1048576"),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_told_with_the_right_word(
    words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage in one line, and one line of what is wrong; exit code 2."""
    assert told(capsys, *words.split()) == line


@pytest.mark.parametrize(
    "secret", ["t1.abcdefghijklmnop", "SomeSecretWithoutAShape", "eyJhbGciOiJQUzI1NiJ9.e30.c2ln"]
)
def test_a_secret_on_the_command_line_is_never_repeated(
    secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it was put; the message says where a token belongs."""
    for words in (
        [secret], ["serve", secret], ["completion", secret], ["completion", "bash", secret],
        ["--auth.iam-token", secret], [f"--auth.iam-token={secret}"], ["check", f"--token={secret}"],
        ["--execution=a", secret], ["--iam-token", secret, "check"],
    ):  # fmt: skip
        line = told(capsys, *words)
        assert secret not in line
        assert NEVER in line
        assert "YC_WORKFLOW_AUTH__IAM_TOKEN" in line
        assert "--auth.iam-token-file" in line


def test_a_stray_word_after_a_subcommand_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An execution is given as a flag."""
    assert told(capsys, "check", "dfq1").startswith(
        "check: takes no argument; an execution is given as --execution=ID"
    )
    assert told(capsys, "dfq1").startswith("an argument is no command; commands are serve, check, scrape")


@pytest.mark.parametrize(
    "words", [["--version"], *([name, "--version"] for name in COMMANDS if name != "completion")]
)
def test_the_version_is_told_after_a_subcommand_too(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends the program with 0."""
    with pytest.raises(SystemExit) as caught:
        parsed(words)
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{about()}\n"


@given(st.lists(st.one_of(
    st.sampled_from(["check", "serve", "--live", "--history.enabled", "a", "--api.timeout=1s"]),
    st.text(max_size=8), st.text(max_size=8).map("--{}".format),
), max_size=6))  # fmt: skip
@fuzzed(60)
def test_any_words_are_parsed_or_told(words: list[str]) -> None:
    """Nothing but the end of the program comes of them."""
    try:
        assert isinstance(parsed(words), argparse.Namespace)
    except SystemExit as error:
        assert error.code in {0, 2}  # noqa: PT017  # both ways out are good


def completed(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of these words."""
    line = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
        f"_shtab_yc_workflow_exporter; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True, cwd=script.parent)
    return done.stdout.split()


def test_bash_completes_the_values_of_flags(tmp_path: Path) -> None:
    """Levels, formats, yes and no, and names of files."""
    script = tmp_path / "complete.bash"
    script.write_text(shtab.complete(parser(), "bash"))
    (tmp_path / "state.db").touch()
    assert completed(script, PROGRAM, "check", "--log.level", "") == ["debug", "info", "warn", "error"]
    assert completed(script, PROGRAM, "serve", "--log.format", "j") == ["json"]
    assert completed(script, PROGRAM, "serve", "--history.enabled", "") == ["true", "false"]
    assert completed(script, PROGRAM, "serve", "--state.file", "st") == ["state.db"]
    assert completed(script, PROGRAM, "serve", "--config.file", "st") == ["state.db"]
    assert "--no-history.enabled" in completed(script, PROGRAM, "serve", "--no")


@pytest.mark.parametrize("shell", shtab.SUPPORTED_SHELLS)
def test_every_shell_gets_a_script(shell: str) -> None:
    """With the words of the log's levels in it."""
    assert "debug info warn error" in shtab.complete(parser(), shell)
