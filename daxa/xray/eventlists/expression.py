"""Expressions over the columns of an event list, such as ``PI > 300 && (FLAG & 0x10) == 0``.

The grammar is small and complete; no text is ever executed::

    expression = term { "||" term }
    term       = factor { "&&" factor }
    factor     = "(" expression ")" | test
    test       = COLUMN ("==" | "!=" | "<" | "<=" | ">" | ">=") NUMBER
               | COLUMN "in" "[" [NUMBER] ":" [NUMBER] "]"          both ends included
               | COLUMN "in" "(" NUMBER { "," NUMBER } ")"
               | "(" COLUMN "&" WHOLE ")" ("==" | "!=") WHOLE       tests of bits

Numbers are decimal, or whole ones such as ``0x10``.  An expression becomes rules
(`daxa.xray.eventlists.rules`), by which events are selected, and which headers record.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from daxa.errors import DataError, NotPossible
from daxa.naming import did_you_mean
from daxa.xray.eventlists.cards import card_text
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import column_names, column_null, read_column
from daxa.xray.eventlists.rules import Either, Range, Rule, mask_of, ranges_of, without

__all__ = ["Expression", "bind_expression", "parse_expression"]

_LONGEST = 1000
_DEEPEST = 20
_MOST_WAYS = 32
_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]{1,16}|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]{0,31})|(?P<sign>&&|\|\||==|!=|<=|>=|[<>&()\[\],:]))",
    re.ASCII,
)
_SOURCE = "asked for: clean.expression"


@dataclass(frozen=True)
class _Ranges:
    """A column lies in one of these: first value, whether it is excluded, last value, whether it is excluded."""

    column: str
    ranges: tuple[tuple[float | None, bool, float | None, bool], ...]


@dataclass(frozen=True)
class _Bits:
    """Of the bits of a mask none is set (``clear``) or all are (``set``)."""

    column: str
    mask: int
    required: Literal["clear", "set"]


_Test = _Ranges | _Bits


@dataclass(frozen=True)
class Expression:
    """An expression as alternatives, each of tests that must all hold.

    Parameters
    ----------
    text
        As it was written.
    ways
        The alternatives.
    """

    text: str
    ways: tuple[tuple[_Test, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it tests, in their order, in capitals."""
        return tuple(dict.fromkeys(test.column.upper() for way in self.ways for test in way))


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    ValueError
        It is not an expression; the message says where.

    Examples
    --------
    >>> parse_expression("PI in [300:2000] && (FLAG & 0x10) == 0").columns
    ('PI', 'FLAG')
    >>> parse_expression("__import__('os')")
    Traceback (most recent call last):
    ...
    ValueError: a column, a number or a sign is expected at "'os')"
    """
    if len(text) > _LONGEST:
        raise ValueError(f"an expression has at most {_LONGEST} characters")
    reader = _Reader(_tokens(text))
    ways = reader.expression(0)
    if reader.left:
        raise ValueError(f'"&&" or "||" is expected before {reader.left[0][1]!r}')
    return Expression(" ".join(text.split()), ways)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f'a column, a number or a sign is expected at "{text[at:].strip()[:20]}"')
        # Every way to match is a group with a name.
        found.append((kind := str(match.lastgroup), match[kind]))
        at = match.end()
    return found


class _Reader:
    """Reads tokens from the left by the grammar; an expression is kept as its alternatives."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.left = tokens

    def expression(self, depth: int) -> tuple[tuple[_Test, ...], ...]:
        ways = list(self._term(depth))
        while self._take("||"):
            ways += self._term(depth)
        return _few(ways)

    def _term(self, depth: int) -> tuple[tuple[_Test, ...], ...]:
        factors = [self._factor(depth)]
        while self._take("&&"):
            factors.append(self._factor(depth))
            _few([()] * math.prod(map(len, factors)))
        return tuple(tuple(test for way in chosen for test in way) for chosen in product(*factors))

    def _factor(self, depth: int) -> tuple[tuple[_Test, ...], ...]:
        if depth > _DEEPEST:
            raise ValueError("its brackets are nested too deeply")
        if self._is("sign", "(") and not self._is("sign", "&", ahead=2):
            self._need("(")
            inside = self.expression(depth + 1)
            self._need(")")
            return inside
        return self._bits() if self._is("sign", "(") else ((self._comparison(),),)

    def _bits(self) -> tuple[tuple[_Test, ...], ...]:
        self._need("(")
        column = self._name()
        self._need("&")
        mask = self._whole()
        self._need(")")
        sign, value = self._one_of("==", "!="), self._whole()
        if mask <= 0 or value not in (0, mask):
            raise ValueError(f"bits are compared with 0 or with their mask, such as ({column} & 0x10) == 0")
        if sign == "==":
            return ((_Bits(column, mask, "set" if value else "clear"),),)
        # Some of the bits: one alternative for each.
        single = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
        return _few([(_Bits(column, bit, "clear" if value else "set"),) for bit in single])

    def _comparison(self) -> _Test:
        column = self._name()
        if self._take("in", "name"):
            if self._take("["):
                first = None if self._is("sign", ":") else self._number()
                self._need(":")
                last = None if self._is("sign", "]") else self._number()
                self._need("]")
                return _Ranges(column, ((first, False, last, False),))
            self._need("(")
            values = [self._number()]
            while self._take(","):
                values.append(self._number())
            self._need(")")
            return _Ranges(column, tuple((value, False, value, False) for value in sorted(set(values))))
        sign, value = self._one_of("==", "!=", "<=", ">=", "<", ">"), self._number()
        return _Ranges(
            column,
            {
                "==": ((value, False, value, False),),
                "!=": ((None, False, value, True), (value, True, None, False)),
                "<": ((None, False, value, True),),
                "<=": ((None, False, value, False),),
                ">": ((value, True, None, False),),
                ">=": ((value, False, None, False),),
            }[sign],
        )

    def _is(self, kind: str, text: str, *, ahead: int = 0) -> bool:
        return self.left[ahead : ahead + 1] == [(kind, text)]

    def _take(self, text: str, kind: str = "sign") -> bool:
        if not self._is(kind, text):
            return False
        self.left = self.left[1:]
        return True

    def _next(self, kind: str, what: str) -> str:
        if not self.left or self.left[0][0] != kind:
            raise ValueError(f"{what} is expected {self._where}")
        (_, text), self.left = self.left[0], self.left[1:]
        return text

    @property
    def _where(self) -> str:
        return f"at {self.left[0][1]!r}" if self.left else "at the end"

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"{sign!r} is expected {self._where}")

    def _one_of(self, *signs: str) -> str:
        for sign in signs:
            if self._take(sign):
                return sign
        raise ValueError(f"one of {' '.join(signs)} is expected {self._where}")

    def _name(self) -> str:
        return self._next("name", "a column")

    def _number(self) -> float:
        text = self._next("number", "a number")
        if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
            return int(text, 16)
        value = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
        if not math.isfinite(value) or abs(value) >= 1 << 64:
            raise ValueError(f"{text} is too large")
        return value

    def _whole(self) -> int:
        value = self._number()
        if not isinstance(value, int):
            raise ValueError(f"{value} is not a whole number")
        return value


def _few(ways: list[tuple[_Test, ...]]) -> tuple[tuple[_Test, ...], ...]:
    if len(ways) > _MOST_WAYS:
        raise ValueError(f"it has more than {_MOST_WAYS} alternatives")
    return tuple(ways)


def bind_expression(expression: Expression, events: EventList) -> tuple[Rule | Either, ...]:
    """The rules of an expression for a list.

    Parameters
    ----------
    expression
        Of `parse_expression`.
    events
        The list, whose columns decide what the numbers mean: of a whole-number column ``> 2`` is 3 and
        more, of one in single precision 0.1 is the nearest number that it can hold.  A null value
        (TNULLn, NaN) fulfils no test.

    Raises
    ------
    NotPossible
        A column is absent or of another kind, or a test can never hold.
    """
    ways = [_bound(way, events) for way in expression.ways]
    if len(ways) == 1:
        return ways[0]
    for way in ways:
        # A header lists alternatives column by column.
        columns = [rule.column for rule in way]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise _unusable(events, f"in an alternative, {twice[0]} has two tests that a header cannot distinguish")
    return (Either(tuple(ways), _SOURCE),)


def _bound(way: tuple[_Test, ...], events: EventList) -> tuple[Rule, ...]:
    """One rule per column and kind of test, in the order in which they come."""
    found: dict[tuple[str, str], Rule] = {}
    for test in way:
        name, dtype, bits = _column(test.column, events)
        if isinstance(test, _Bits):
            op: Literal["bits_clear", "bits_set"] = "bits_clear" if test.required == "clear" else "bits_set"
            before = found.get((name, op))
            if dtype.kind not in "iu" or test.mask.bit_length() > 8 * dtype.itemsize:
                raise _unusable(events, f"{name} has no {test.mask.bit_length()} bits")
            mask = test.mask | (mask_of(before) if before else 0)
            found[name, op] = Rule(name, op, mask, _SOURCE, bits=bits)
            if not bits and (known := _known(name, dtype, events)) != ((None, None),):
                # The bits of the value that means "none" mean nothing.
                found.setdefault((name, "ranges"), Rule(name, "ranges", known, _SOURCE))
            continue
        if bits or dtype.kind not in "iuf":
            raise _unusable(events, f"{name} holds no numbers{': test its bits' if bits else ''}")
        allowed = [limits for one in test.ranges if (limits := _limits(*one, dtype))]
        before = found.get((name, "ranges"))
        ranges = _common(ranges_of(before) if before else _known(name, dtype, events), allowed)
        if not ranges:
            raise _unusable(events, f"no value of {name} fulfils it")
        found[name, "ranges"] = Rule(name, "ranges", ranges, _SOURCE)
    return tuple(found.values())


def _column(required: str, events: EventList) -> tuple[str, np.dtype, int]:
    """Name, type of the values, and width where it is a column of bits."""
    names = {name.lower(): name for name in column_names(events.rows)}
    name = names.get(required.lower())
    if name is None:
        raise _unusable(events, f"there is no column {required}{did_you_mean(required, names.values())}")
    try:
        values = read_column(events.rows[:0], name)
    except DataError as unread:
        raise _unusable(events, unread.message) from None
    if values.ndim != 1:
        raise _unusable(events, f"{name} holds several numbers for each event")
    form = card_text(events.header, f"TFORM{_number_of(name, events)}")
    return name, values.dtype, 8 * values.dtype.itemsize if form.endswith("X") else 0


def _number_of(name: str, events: EventList) -> int:
    return column_names(events.rows).index(name) + 1


def _known(name: str, dtype: np.dtype, events: EventList) -> tuple[Range, ...]:
    """All values but the one that means "none"."""
    null = column_null(events.header, _number_of(name, events))
    if null is None and name.upper() == events.format.pi_column.upper():
        null = events.null_channel
    if null is None:
        return ((None, None),)
    if dtype.kind == "f":
        return without([(None, None)], float(null))
    # Nothing lies below the least number of a type.
    return without([(int(np.iinfo(dtype).min), None)] if null == np.iinfo(dtype).min else [(None, None)], null)


def _limits(
    first: float | None, without_first: bool, last: float | None, without_last: bool, dtype: np.dtype
) -> Range | None:
    """The closed range of values that a test allows; None where there is none, or a column of the type has none."""
    low: float | None
    high: float | None
    if dtype.kind in "iu":
        low = None if first is None else math.floor(first) + 1 if without_first else math.ceil(first)
        high = None if last is None else math.ceil(last) - 1 if without_last else math.floor(last)
        limits = np.iinfo(dtype)
        if (low is not None and low > limits.max) or (high is not None and high < limits.min):
            return None
    else:
        first, last = (None if one is None else _rounded(one, dtype) for one in (first, last))
        low = math.nextafter(first, math.inf) if without_first and first is not None else first
        high = math.nextafter(last, -math.inf) if without_last and last is not None else last
    return None if low is not None and high is not None and low > high else (low, high)


def _rounded(value: float, dtype: np.dtype) -> float:
    """The number that a column of this type holds where people read `value`: 0.1 is another one in 4 bytes."""
    return float(dtype.type(value))


def _common(one: tuple[Range, ...], other: list[Range]) -> tuple[Range, ...]:
    """Ranges of the values that lie in both, in order."""
    found = []
    for a, b in one:
        for c, d in other:
            low = a if c is None else c if a is None else max(a, c)
            high = b if d is None else d if b is None else min(b, d)
            if low is None or high is None or low <= high:
                found.append((low, high))
    return tuple(sorted(found, key=lambda limits: -math.inf if limits[0] is None else limits[0]))


def _unusable(events: EventList, what: str) -> NotPossible:
    return NotPossible(
        "expression",
        f"clean.expression cannot be used for {events.path.name} ({events.obs_id}): {what}",
        remedy=f"its columns are {', '.join(column_names(events.rows)[:60])}",
    )
