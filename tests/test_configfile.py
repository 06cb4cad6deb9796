"""The YAML file: read strictly and once, each problem with its line, whatever is in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ConfigError
from exporter.settings import configfile
from exporter.settings.configfile import FileProblem
from exporter.settings.flags import load


def problem(path: Path, text: str | bytes) -> FileProblem:
    """Return what is wrong with a file of this text."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(FileProblem) as caught:
        configfile.read(path)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- a\n", 1, "must be a mapping of keys to values"),
        ("just words\n", 1, "must be a mapping of keys to values"),
        ("executions: [a\nb: c\n", 2, "did not find expected ',' or ']'"),
        ("labels: [a]\nlabels: [b]\n", 2, "the key labels comes twice; keep one"),
        ("a:\n  - {b: 1, b: 2}\n", 2, "the key b comes twice; keep one"),
        ("a: 1\nb: !!bool x\n", 2, "'x': is not true or false"),
        ("a: 1\nb: !!timestamp x\n", 2, "'x': is not a date"),
        ("a: !!int ''\n", 1, "'': is not a whole number"),
        ("a: !!float x\n", 1, "'x': is not a number"),
        ("a: [1,\n 2001-13-01]\n", 2, "'2001-13-01': is not a date; quote it"),
        (f"a: {'1' * 5000}\n", 1, "…': is not a whole number"),
        ("a: !!binary x\n", 1, "what is tagged !!binary is not base64"),
        ("a: !!map x\n", 1, "expected a mapping"),
        ("a: !!omap x\n", 1, "expected a sequence"),
        ("a: !mine x\n", 1, "the tag '!mine' is not known; remove the tag"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "is not known; remove the tag"),
        ("folders:\n  - {id: a, include: [*-order]}\n", 2, 'quote names with *, as "*-order"'),
        ("folders:\n  - {id: a, include: [*order]}\n", 2, 'quote names with *, as "*-order"'),
        ("a: b\n---\nc: d\n", 2, "one document, without a second ---"),
        ("a: b: c\n", 1, "quote a value that has a colon"),
        ("a:\n\tb: c\n", 2, "indent with spaces"),
        ("{[a]: b}\n", 1, "a key is one word"),
        ("a: b\nc: \x1b[31m\n", 2, "has a control character, U+001B; remove it"),
        ("a: \x00\n", 1, "has a control character, U+0000"),
        (b"a: b\nc: \xff\n", 2, "is not UTF-8; save it as UTF-8"),
        ("[" * 100_000, 1, "nesting depth"),
        (b"a: " + b"x" * configfile.MAX_FILE_BYTES, 0, "too large for a configuration"),
        ("a: !!bool t1.abcdefghijkl\n", 1, "'<secret>': is not true or false"),
        ("t1.abcdefghijkl: 1\nt1.abcdefghijkl: 2\n", 2, "the key <secret> comes twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str | bytes, line: int, said: str, tmp_path: Path) -> None:
    """In one line, with a remedy, and without a secret."""
    found = problem(tmp_path / "config.yml", text)
    assert said in str(found)
    assert found.line == line
    assert str(found).isprintable()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "too large for a configuration"),
        ("/", "cannot be read: Is a directory"),
        ("/nowhere/config.yml", "cannot be read: No such file or directory"),
        ("a\0b", "is not the name of a file"),
        ("a" * 5000, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_file_is_told_as_such(path: str, said: str) -> None:
    """A device without an end is not read to its end."""
    with pytest.raises(FileProblem, match=said):
        configfile.read(Path(path))


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    """Nor does one with comments alone, or with a mark of its encoding."""
    path = tmp_path / "config.yml"
    for text in (b"", b"# nothing\n", b"\xef\xbb\xbf", b"---\n"):
        path.write_bytes(text)
        assert configfile.read(path).tree == {}


def test_places_have_their_line_and_their_word(tmp_path: Path) -> None:
    """The word as it was written, not as YAML reads it; for what is not there, the line around it."""
    path = tmp_path / "config.yml"
    path.write_text(
        "a: 010\nb:\n  - no\n  - 'no'\n  - c: ~\nbase: &base\n  x: 1\nd:\n  <<: *base\n  x: 2\n  y: 3\n"
    )
    document = configfile.read(path)
    assert document.tree["d"] == {"x": 2, "y": 3}
    places: list[tuple[str | int, ...]] = [
        ("a",),
        ("b", 0),
        ("b", 1),
        ("b", 2, "c"),
        ("d", "x"),
        ("b", 9),
        ("z",),
    ]
    assert [document.line(place) for place in places] == [1, 3, 4, 5, 10, 2, 1]
    assert [document.written(place) for place in places[:5]] == ["010", "no", None, "~", "2"]


def aliases() -> Iterator[str]:
    """Return the lines of a file in which each list holds the one before it nine times."""
    yield "l0: &l0 [x, x, x, x, x, x, x, x, x]"
    for n in range(1, 30):
        yield f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]"
    yield "executions: *l29"
    yield "labels: *l29"
    yield "auth: {metadata: *l29}"
    yield "folders: [{id: *l29, include: *l29, labels: {a: *l29}}]"


def test_lists_of_lists_of_lists_do_not_explode(tmp_path: Path) -> None:
    """What aliases multiply is never written out."""
    path = tmp_path / "config.yml"
    path.write_text("\n".join(aliases()))
    with pytest.raises(ConfigError) as caught:
        load({"config": {"file": str(path)}}, {})
    assert len(str(caught.value)) < 20_000


WORDS = st.sampled_from(
    ["api", "auth", "executions", "folders", "web", "timeout", "id", "metadata", "true", "~", "0x1F", "*",
     "&a", "*a", ": ", "- ", "[", "]", "{", "}", ", ", "\n", "\n  ", "'", '"', "!!int ", "!!set ", "<<: ",
     "? ", "| ", "2001-01-01", "1e3", "listen_address", "labels", ".inf", "\t", "#", "\x1b", "%", "---\n"]
)  # fmt: skip


@given(st.one_of(st.lists(WORDS, max_size=30).map("".join), st.text(max_size=60)))
@fuzzed(100)
def test_any_text_is_read_or_refused_in_printable_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Nothing else is raised, and nothing of YAML's or Python's own is said."""
    path = tmp_path_factory.getbasetemp() / "junk.yml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        load({"config": {"file": str(path)}}, {"YC_IAM_TOKEN": "t1.token"})
    except ConfigError as error:
        assert error.problems  # noqa: PT017  # both ways out are good
        for line in str(error).split("\n"):
            assert line.isprintable()
            assert "Value error" not in line
            assert "Input should" not in line
            assert "<class" not in line
