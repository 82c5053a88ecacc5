"""Text from outside (targets, comments, file names, what services say) made harmless for who reads it."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["json_escaped", "one_line", "plain", "spreadsheet_cell", "utf8_text"]

# Control characters (C0, C1), and those of Unicode's categories Cf, Cs, Zl and Zp: they steer a terminal, turn the
# direction of what follows, or cannot be seen.
_UNSEEN = (
    "\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
_ESCAPED = re.compile(rf"[{_UNSEEN}]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[: ]\d+){0,2}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def plain(text: str) -> str:
    r"""Text whose characters can all be seen, but for line ends and tabs; others are replaced.

    Examples
    --------
    >>> plain("Abell\x1b[2J 907\r\nnext") == "Abell\ufffd[2J 907\nnext"
    True
    """
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\r+\n?", "\n", text))


def one_line(value: object, most: int = 300) -> str:
    r"""A value from outside as text of one line, printable and not too long, for messages and logs.

    Examples
    --------
    >>> one_line("M\x1b[2J 87\n"), one_line("x" * 1000, 5)
    ('M [2J 87', 'xxxxx')
    """
    text = str(value)[: 4 * most]
    printable = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join(printable.split())[:most]


def json_escaped(document: str) -> str:
    r"""A JSON document without invisible characters: each of those in a string becomes an escape.

    Examples
    --------
    >>> json_escaped('"\u202e"')
    '"\\u202e"'
    """
    return _ESCAPED.sub(_escape, document)


def spreadsheet_cell(text: str) -> str:
    """Text of one line that no spreadsheet takes for a formula: an apostrophe marks what looks like one.

    Numbers and sexagesimal coordinates stay as they are.

    Examples
    --------
    >>> spreadsheet_cell("=HYPERLINK(1)"), spreadsheet_cell("-12.3"), spreadsheet_cell("-11:03:50")
    ("'=HYPERLINK(1)", '-12.3', '-11:03:50')
    """
    marked = text.startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return ("'" if marked else "") + re.sub(r"[\n\t]", " ", plain(text))


def utf8_text(text: str) -> str:
    r"""Text that can be written as UTF-8: bytes that were kept as surrogates when it was decoded are replaced.

    Examples
    --------
    >>> utf8_text(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"
    True
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escape(found: re.Match[str]) -> str:
    code = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{code[at]:02x}{code[at + 1]:02x}" for at in range(0, len(code), 2))
