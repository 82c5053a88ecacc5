"""How names are given, one or many, and words about unknown ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

__all__ = ["did_you_mean", "nearest", "number_of", "several", "some"]


def number_of(number: int, what: str) -> str:
    """A number of things.

    Examples
    --------
    >>> number_of(1, "object"), number_of(2, "object")
    ('1 object', '2 objects')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def some(names: Collection[str], most: int = 5) -> str:
    """The first of some names, and how many more there are.

    Examples
    --------
    >>> some(["PN", "M1", "M2"], 2), some(["PN", "M1"], 2)
    ('PN, M1 and 1 more', 'PN, M1')
    """
    first = ", ".join(list(names)[:most])
    return first if len(names) <= most else f"{first} and {len(names) - most} more"


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """The end of a sentence that names the choice most like a name, '' where none is.

    Examples
    --------
    >>> did_you_mean("cleen", ["fetch", "events", "clean"]), did_you_mean("x", ["fetch"])
    ('; did you mean clean?', '')
    """
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(str(name)[:100].lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice with the fewest other characters, counted from either end; '' where there is none.

    Examples
    --------
    >>> nearest("404910602", ["0201901401", "0404910601"])
    '0404910601'
    """

    def apart(other: str) -> int:
        fewest = min(
            sum(one != two for one, two in zip(other, name, strict=False)),
            sum(one != two for one, two in zip(reversed(other), reversed(name), strict=False)),
        )
        return fewest + abs(len(other) - len(name))

    return min(choices, key=apart, default="")


def several(value: object) -> tuple[Any, ...]:
    """What was given, as a tuple: nothing, one value or many; a text is one value.

    Examples
    --------
    >>> several(None), several("xmm"), several(["xmm", "chandra"])
    ((), ('xmm',), ('xmm', 'chandra'))
    """
    if value is None:
        return ()
    # A quantity or a position that is single says that it can be iterated over, and cannot.
    if isinstance(value, str | bytes) or getattr(value, "isscalar", False) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)
