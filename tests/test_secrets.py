"""Text for people holds no secret and fits on one line."""

import base64

import pytest

from exporter.yandex.secrets import one_line, redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "secret",
    [
        "t1.9euelZqMx5WTyZGTi5qQ.Abc-def_ghi==",
        "y0_AgAAAABcdefghijklmnop",
        "AQVNabcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJQUzI1NiJ9.eyJpc3MiOiJhamUifQ.c2lnbmF0dXJl",
        "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        PEM,
        PEM[:50],
    ],
)
def test_what_is_shaped_like_a_secret_is_hidden(secret: str) -> None:
    """Tokens, keys and PEM blocks disappear, and the words around them stay."""
    assert redact(f'said "{secret}') == 'said "<secret>'


def test_known_values_and_bearer_values_are_hidden() -> None:
    """A secret without a shape is hidden when it is known, or follows the word Bearer."""
    assert redact("hunter2 and hunter22", "hunter2", "hunter22", "") == "<secret> and <secret>"
    assert redact("Authorization: Bearer abc") == "Authorization: Bearer <secret>"


def test_a_known_secret_is_hidden_in_other_spellings() -> None:
    """Quoted for a URL, cut short or in capitals it is the same secret; what only looks alike is not."""
    secret = "hush/hush+hush=hush-hush-hush"
    in_base64 = base64.b64encode(secret.encode()).decode()
    quoted = "hush%2Fhush%2Bhush%3Dhush-hush-hush"
    for spelling in (secret, quoted, in_base64.rstrip("="), secret[:20], secret[-12:], secret.upper()):
        assert redact(f"said {spelling}, twice", secret) == "said <secret>, twice"
    assert redact("said hush/hush, twice", secret) == "said hush/hush, twice"


def test_innocent_text_stays() -> None:
    """IDs, error codes, addresses and words are no secrets."""
    text = (
        "dfqmeu8ci1ae2tvocsbv-429e9f6f-b506-4c5a: STEP_TIMEOUT at http://10.0.0.1:80/@a, basic authentication"
    )
    assert redact(text) == text


def test_a_password_is_hidden_in_an_address_and_in_a_header() -> None:
    """What a proxy is told is not told to others, and what follows is still there."""
    assert redact("by http://ann:pass@proxy:3128/x") == "by http://<secret>@proxy:3128/x"
    assert (
        redact("Proxy-Authorization: Basic YW5uOnBhc3M= sent") == "Proxy-Authorization: Basic <secret> sent"
    )


def test_a_line_is_one_line() -> None:
    """Control characters are shown, not obeyed, and the line ends at its limit."""
    assert one_line("a\nb\x1b[31m\u2028c") == "a\\nb\\x1b[31m\\u2028c"
    assert one_line("x" * 300) == "x" * 199 + "…"
    assert len(one_line("\n" * 300)) == 200


@pytest.mark.parametrize("before", ["İ" * 40, "ß" * 40, "ﬁ" * 40, "Ǆ" * 40])
def test_letters_that_change_their_length_uncover_nothing(before: str) -> None:
    """A capital may be two small letters; what is cut short is hidden to its last character all the same."""
    secret = "hush/hush+hush=hush-hush-hush-hush-hush"
    for cut in (secret[:-1], secret[1:], secret[:20].upper()):
        assert "hush" not in redact(f"{before}{cut}", secret).lower()
