"""The words of a command line, put in order and told when they are mistyped, before argparse sees them.

Flags may stand before and after the subcommand; a token that was put there by mistake is never repeated.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from exporter.settings.fields import SWITCH_WORDS
from exporter.settings.nearest import close
from exporter.yandex.secrets import one_line, redact

COMMAND_ALIASES = {
    "start": "serve", "run": "serve", "validate": "check", "test": "check", "simulator": "simulate",
}  # fmt: skip
FLAG_ALIASES = {
    "verbose": "--log.level", "v": "--log.level", "debug": "--log.level", "quiet": "--log.level",
    "listen": "--web.listen-address", "port": "--web.listen-address", "config": "--config.file",
    "c": "--config.file", "endpoint": "--api.endpoint", "key_file": "--auth.service-account-key-file",
}  # fmt: skip
"""Other words for flags, as `nearest` compares them."""
NEVER_HERE = (
    "a token is never taken from the command line, where others can read it: "
    "set YC_WORKFLOW_AUTH__IAM_TOKEN, or name a file with --auth.iam-token-file"
)
_URL = re.compile(r"https?://", re.IGNORECASE)
_NUMBER = re.compile(r"-[0-9.]+")


class Mistyped(ValueError):
    """A command line that cannot be meant; the text is one line with the remedy."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: how many values it takes, and the subcommands that take it."""

    name: str
    takes: Literal["none", "one", "maybe"]
    commands: frozenset[str]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a command line may be made of; `words` are what a subcommand takes beside flags."""

    flags: Mapping[str, Flag]
    commands: Sequence[str]
    words: Mapping[str, Sequence[str]]
    default: str


@dataclass(slots=True)
class _Line:
    """A command line as it is read."""

    command: str = ""
    words: list[str] = field(default_factory=list)
    flags: list[tuple[str, str | None]] = field(default_factory=list)


def ordered(argv: Sequence[str], grammar: Grammar) -> list[str]:
    """Return the subcommand, its words, then all flags with their values; raises Mistyped."""
    line = _Line()
    rest = deque(argv)
    while rest:
        word = rest.popleft()
        if word.startswith("-") and word != "-":
            line.flags.append(_flag(word, rest, grammar, line.command))
        else:
            _word(word, grammar, line)
    for name, _ in line.flags:
        _belongs(grammar.flags[name], grammar, line.command or grammar.default)
    if len(line.words) < len(grammar.words.get(line.command, ())[:1]):
        raise Mistyped(f"{line.command}: needs one of {', '.join(grammar.words[line.command])}")
    flags = (name if value is None else f"{name}={value}" for name, value in line.flags)
    return [*([line.command] if line.command else []), *line.words, *flags]


def _flag(word: str, rest: deque[str], grammar: Grammar, command: str) -> tuple[str, str | None]:
    """Return a flag and its value, which may be the next word."""
    name, equals, value = word.partition("=")
    flag = grammar.flags.get(name)
    if flag is None:
        raise Mistyped(_unknown(name, grammar, command))
    if flag.takes == "none":
        if equals:
            raise Mistyped(f"{name}: takes no value")
        return name, None
    if equals:
        return name, value
    if flag.takes == "maybe":
        # What follows a switch is its value only if it can be nothing else.
        given = bool(rest) and (rest[0].lower() in SWITCH_WORDS or bool(_URL.match(rest[0])))
        return name, rest.popleft() if given else "true"
    if not rest or (rest[0].startswith("-") and rest[0] != "-" and not _NUMBER.fullmatch(rest[0])):
        raise Mistyped(f"{name}: needs a value; write it as {name}=VALUE")
    return name, rest.popleft()


def _unknown(name: str, grammar: Grammar, command: str) -> str:
    """Return what is told of a flag that does not exist."""
    if "token" in name and "fil" not in name:
        return f"{_shown(name)}: unknown flag; {NEVER_HERE}"
    own = [flag.name for flag in grammar.flags.values() if not command or command in flag.commands]
    near = close(name, own, FLAG_ALIASES)
    if near is None:
        return f"{_shown(name)}: unknown flag; --help lists them"
    return f"{_shown(name)}: unknown flag; did you mean {near}?"


def _shown(name: str) -> str:
    """Return a flag as it may be repeated: what is longer than flags are may be something else."""
    return one_line(redact(name), 48)


def _belongs(flag: Flag, grammar: Grammar, command: str) -> None:
    """Refuse a flag of another subcommand."""
    if command in flag.commands:
        return
    own = [each.name for each in grammar.flags.values() if command in each.commands]
    meant = FLAG_ALIASES.get(flag.name.lstrip("-"))
    if meant in own:
        raise Mistyped(f"{flag.name}: is a flag of {_and(flag)}; did you mean {meant}?")
    raise Mistyped(f"{flag.name}: is a flag of {_and(flag)}")


def _and(flag: Flag) -> str:
    return " and ".join(sorted(flag.commands))


def _word(word: str, grammar: Grammar, line: _Line) -> None:
    """Take a word for the subcommand, or for what that one takes."""
    if not line.command:
        if word not in grammar.commands:
            raise Mistyped(_no_command(word, grammar))
        line.command = word
        return
    wanted = grammar.words.get(line.command, ())
    if not wanted or line.words:
        raise Mistyped(
            f"{line.command}: takes no {'other ' if wanted else ''}argument; "
            f"an execution is given as --execution=ID; {NEVER_HERE}"
        )
    if word not in wanted:
        near = close(word, wanted)
        hint = f"did you mean {near}?" if near else f"{', '.join(wanted)} are known; {NEVER_HERE}"
        raise Mistyped(f"{line.command}: the argument is not known; {hint}")
    line.words.append(word)


def _no_command(word: str, grammar: Grammar) -> str:
    near = close(word, [*grammar.commands, "--help", "--version"], COMMAND_ALIASES)
    if near is not None:
        return f"{one_line(redact(word), 48)}: unknown command; did you mean {near}?"
    return (
        f"an argument is no command; commands are {', '.join(grammar.commands)}; "
        f"an execution is given as --execution=ID; {NEVER_HERE}"
    )
