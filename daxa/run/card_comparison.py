"""The cards of two headers, compared: volatile ones set aside, the others named with both values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from daxa.naming import number_of, some
from daxa.run.equality import canonical_cards, is_volatile
from daxa.text import plain

__all__ = ["Cards", "compare_cards"]

_FOLLOWING = {"NAXIS1", "NAXIS2", "PCOUNT", "THEAP", "TFIELDS"}
"""Cards that follow from rows and columns, which are compared themselves."""

_TEXT = re.compile(r"'(?:[^']|'')*'")
_NAMED = 10
_LONGEST = 60


@dataclass(frozen=True)
class Cards:
    """The cards of one header.

    Parameters
    ----------
    lines
        Keyword and canonical text of every card, in their order; a long text is one card.
    """

    lines: tuple[tuple[str, str], ...]
    _values: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, header: bytes) -> Cards:
        """The cards of a header without its END."""
        lines: list[tuple[str, str]] = []
        for line in canonical_cards(header):
            keyword = line.split("=", 1)[0].split(" ", 1)[0]
            if keyword == "CONTINUE" and lines:
                lines[-1] = (lines[-1][0], f"{lines[-1][1]}\n{line}")
            else:
                lines.append((keyword, line))
        values: dict[str, str] = {}
        for keyword, line in lines:
            if "=" in line:
                values.setdefault(keyword, _value(line))
        return cls(tuple(lines), values)

    def text(self, keyword: str) -> str:
        """Value of the first such card without quotes, or ''."""
        value = self._values.get(keyword, "")
        return plain(value[1:-1].replace("''", "'")) if value.startswith("'") else value

    def number(self, keyword: str, otherwise: float) -> float:
        """Value of the first such card as a finite number."""
        try:
            value = float(self._values.get(keyword, "").replace("D", "E"))
        except ValueError:
            return otherwise
        return value if math.isfinite(value) else otherwise


def compare_cards(one: Cards, two: Cards) -> tuple[list[str], list[str]]:
    """Descriptions of the cards that differ, and the volatile keywords among them.

    Examples
    --------
    >>> cards = ["EXPOSURE= 12.0 / s", "DATE    = '2004-10-19'"], ["EXPOSURE= 13.0 / s", "DATE    = '2026-01-01'"]
    >>> first, second = (Cards.of("".join(card.ljust(80) for card in some).encode()) for some in cards)
    >>> compare_cards(first, second)
    (['has a different EXPOSURE: 12.0 -> 13.0'], ['DATE'])
    """
    volatile = [
        keyword
        for keyword in dict.fromkeys(name for name, _ in (*one.lines, *two.lines))
        if is_volatile(keyword) and _all(one, keyword) != _all(two, keyword)
    ]
    first, second = list(_counting(one)), list(_counting(two))
    if first == second:
        return [], volatile
    texts = [*_changed(dict(first), dict(second))]
    names = [key for key, _ in first], [key for key, _ in second]
    if sorted(names[0]) == sorted(names[1]) and names[0] != names[1]:
        texts.append("has its cards in another order")
    return texts, volatile


def _all(cards: Cards, keyword: str) -> list[str]:
    return [line for name, line in cards.lines if name == keyword]


def _counting(cards: Cards) -> Iterator[tuple[tuple[str, int], str]]:
    """Cards that count, each with the number of those of its keyword before it."""
    seen: dict[str, int] = {}
    for keyword, line in cards.lines:
        if not is_volatile(keyword):
            yield (keyword, seen.setdefault(keyword, 0)), line
            seen[keyword] += 1


def _changed(first: Mapping[tuple[str, int], str], second: Mapping[tuple[str, int], str]) -> Iterator[str]:
    changed = [key for key in first if key in second and first[key] != second[key] and key[0] not in _FOLLOWING]
    values = {key: (_value(first[key]), _value(second[key])) for key in changed}
    valued = [key for key in changed if values[key][0] != values[key][1]]
    for key in valued[:_NAMED]:
        before, after = values[key]
        yield f"has a different {_shown(key[0])}: {_shown(before)} -> {_shown(after)}"
    if len(valued) > _NAMED:
        yield f"has other values of {number_of(len(valued) - _NAMED, 'more card')}"
    if commented := [key[0] for key in changed if key not in valued]:
        yield f"has other comments of {_some(commented)}"
    for here, there, verb in ((first, second, "lacks"), (second, first, "has also")):
        if alone := [key[0] for key in here if key not in there]:
            yield f"{verb} {_some(alone)}"


def _some(keywords: Iterable[str]) -> str:
    return some([_shown(keyword) for keyword in dict.fromkeys(keywords)])


def _value(line: str) -> str:
    """The value of a canonical card, with the pieces of a long text."""
    _, equals, rest = line.partition("=")
    if not equals:
        return line
    first, *others = rest.split("\n")
    found = _TEXT.match(first)
    return "\n".join([found[0] if found else first.partition("/")[0], *others])


def _shown(text: str) -> str:
    seen = " ".join(plain(text).split())
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}..."
