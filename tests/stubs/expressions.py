"""Selection expressions of SAS, evaluated on the columns of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

# Flags that these names stand for, as products of SAS spell them out.
NAMED_FLAGS = {"#XMMEA_EP": 0xCFA0000, "#XMMEA_EM": 0x766BA000, "#XMMEA_2": 1 << 2, "#XMMEA_16": 1 << 16}
_TOKEN = re.compile(
    r"\s*(?:(#\w+)|(0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(\.\w\w\.)|(&&|\|\||[<>=!]=|[-+&<>!(),:\[\]])"
    r"|([A-Za-z_][\w./:-]*))"
)
_WORDS = {".eq.": "==", ".ne.": "!=", ".lt.": "<", ".le.": "<=", ".gt.": ">", ".ge.": ">="}
_COMPARE = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


class ExpressionError(Exception):
    """What SAS says of an expression that it cannot read."""


def evaluate(
    expression: str, columns: Mapping[str, np.ndarray], rows: int, within: Callable[[str, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Which rows an expression selects.

    Parameters
    ----------
    expression
        Such as ``#XMMEA_EM && PATTERN <= 12 && PI in [300:2000] && GTI(gti.fits,TIME)``.
    columns
        Name to values.
    rows
        How many.
    within
        Gives, for the name of a file and times, which of them are good.
    """
    tokens = _tokens(expression)
    parser = _Parser(tokens, {name.upper(): values for name, values in columns.items()}, within)
    mask = parser.either()
    if parser.at != len(tokens):
        raise ExpressionError(f"cannot read `{' '.join(tokens[parser.at :])}'")
    return np.broadcast_to(mask, rows)


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"cannot read `{text[at:]}'")
        token = found[0].strip()
        # A column before a range such as PI in [1:2] is no file name.
        tokens.append(_WORDS.get(token.lower(), token))
        at = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens, columns, within) -> None:
        self.tokens, self.columns, self.within, self.at = tokens, columns, within, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise ExpressionError(f"expected `{expected}' and found `{token}'")
        self.at += 1
        return token

    def either(self):
        value = self.both()
        while self.peek() == "||":
            self.take()
            value = np.logical_or(value, self.both())
        return value

    def both(self):
        value = self.comparison()
        while self.peek() == "&&":
            self.take()
            value = np.logical_and(value, self.comparison())
        return value

    def comparison(self):
        if self.peek() == "!":
            self.take()
            return np.logical_not(self.comparison())
        value = self.bits()
        if self.peek() in _COMPARE:
            return _COMPARE[self.take()](value, self.bits())
        if self.peek().lower() == "in":
            self.take()
            if self.peek().lower() == "circle":
                self.take()
                x, y, radius = self.arguments()
                return _circle(x, y, radius, *value)
            self.take("[")
            low = self.bits()
            self.take(":")
            high = self.bits()
            self.take("]")
            return np.logical_and(value >= low, value <= high)
        return value

    def bits(self):
        value = self.primary()
        while self.peek() in ("&", "+", "-"):
            sign = self.take()
            other = self.primary()
            value = value & other if sign == "&" else value + other if sign == "+" else value - other
        return value

    def arguments(self) -> list:
        self.take("(")
        values = [self.either()]
        while self.peek() == ",":
            self.take()
            values.append(self.either())
        self.take(")")
        return values

    def primary(self):
        word = self.take()
        if word == "-":
            return -self.primary()
        if word == "(":
            self.at -= 1
            values = self.arguments()
            return tuple(values) if len(values) > 1 else values[0]
        return self.number(word) if word[0].isdigit() or word[0] == "." else self.named(word)

    @staticmethod
    def number(word: str):
        if word[:2].lower() == "0x":
            return int(word, 16)
        return float(word) if re.search(r"[.eE]", word) else int(word)

    def named(self, word: str):
        if word.startswith("#"):
            return (self.columns["FLAG"] & NAMED_FLAGS[word]) == 0
        if word.lower() == "true":
            return np.True_
        if word.lower() == "circle":
            return _circle(*self.arguments())
        if word.lower() == "gti":
            self.take("(")
            name = self.take()
            self.take(",")
            times = self.columns[self.take().upper()]
            self.take(")")
            return self.within(name, times)
        if word.upper() not in self.columns:
            raise ExpressionError(f"there is no column `{word}'")
        return self.columns[word.upper()]


def _circle(x, y, radius, xs, ys):
    return np.hypot(xs - x, ys - y) <= radius
