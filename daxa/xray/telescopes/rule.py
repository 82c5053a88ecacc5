"""Rules about events, as data: what a telescope's standard screening requires of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Dialect", "Either", "Range", "Rule"]

Dialect = Literal["sas", "ciao", "heasoft", "esass"]

Range = tuple[float | None, float | None]
"""First and last value, None for an open end."""


@dataclass(frozen=True)
class Rule:
    """What an event must fulfil to be kept.

    Parameters
    ----------
    column
        The column tested.
    op
        ``in`` a set of values, ``not_in`` it, ``between`` two values (both included),
        ``within`` two values (both excluded), ``bits_clear`` (none of the bits of a mask is
        set), ``bits_set`` (all are), ``places_clear`` (none of the bits at these places of a
        bit column is set; 1 is the first), ``equal`` to a value, or ``ranges``: in one of
        several, both ends included, of whole numbers or real ones.
    value
        The set as a sorted tuple, the two values, the mask, the places, the value, or the
        ranges as pairs, None for an open end.
    source
        Where the rule comes from.
    bits
        Width of the column where it is a bit column (TFORM ``16X``): the highest bit of
        the mask is then the column's first.  0 for integer columns.
    plus
        Column and factor: what is tested is the column plus the factor times this one.

    Examples
    --------
    >>> from daxa.xray.eventlists.rules import rules_text
    >>> rules_text([Rule("PATTERN", "between", (0, 12), "XMM-Newton SAS")])
    'PATTERN in [0:12]'
    """

    column: str
    op: Literal["in", "not_in", "between", "within", "bits_clear", "bits_set", "places_clear", "equal", "ranges"]
    value: int | tuple[int, ...] | tuple[Range, ...]
    source: str
    bits: int = 0
    plus: tuple[str, float] | None = None


@dataclass(frozen=True)
class Either:
    """Alternatives, each a tuple of rules; an event must fulfil all rules of at least one.

    Parameters
    ----------
    ways
        The alternatives.
    source
        Where they come from.

    Examples
    --------
    >>> from daxa.xray.eventlists.rules import rules_text
    >>> either = Either(((Rule("ITYPE", "equal", 4, ""),), (Rule("PI", "between", (600, 59999), ""),)), "test")
    >>> rules_text([either])
    '((ITYPE == 4) || (PI in [600:59999]))'
    """

    ways: tuple[tuple[Rule, ...], ...]
    source: str
