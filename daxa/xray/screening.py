"""Standard screening of events: one table of rules, rendered three ways.

A rule is data.  It becomes a mask over rows (`rules_mask`), a row filter in the syntax
of CFITSIO (`rules_cfitsio`, so that anyone can check us with another program) and a
text for headers (`rules_text`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from daxa.errors import DataError
from daxa.xray.events import EventList
from daxa.xray.formats import card_text
from daxa.xray.tables import read_column

__all__ = ["STANDARD", "Rule", "rules_cfitsio", "rules_mask", "rules_text", "screening_for"]


@dataclass(frozen=True)
class Rule:
    """What an event must fulfil to be kept.

    Parameters
    ----------
    column
        The column tested.
    op
        ``in`` a set of values, ``between`` two values (both included), ``bits_clear``
        (none of the bits of a mask is set) or ``equal`` to a value.
    value
        The set as a sorted tuple, the two values, the mask or the value.
    source
        Where the rule comes from.
    bits
        Width of the column where it is a bit column (TFORM ``16X``): the highest bit of
        the mask is then the column's first.  0 for integer columns.

    Examples
    --------
    >>> rule = Rule("PATTERN", "between", (0, 12), "XMM-Newton SAS")
    >>> rules_text([rule])
    'PATTERN in [0:12]'
    """

    column: str
    op: Literal["in", "between", "bits_clear", "equal"]
    value: int | tuple[int, ...]
    source: str
    bits: int = 0


_SAS = "XMM-Newton SAS: standard filters of evselect"
_PPS = "XMM-Newton SAS: flag word of emevents and epevents, used where the header does not declare it"
_CIAO = "CIAO: standard ACIS level 2 filters (ASCA grades 0,2,3,4,6; status 0)"
_NUSCREEN = "NuSTARDAS nuscreen: level 2 defaults of the CALDB event screening file"

_MOS = (
    Rule("FLAG", "bits_clear", 0x766BA000, _PPS),
    Rule("PATTERN", "between", (0, 12), _SAS),
    Rule("FLAG", "equal", 0, _SAS),
)
_PN = (
    Rule("FLAG", "bits_clear", 0x0CFA0000, _PPS),
    Rule("PATTERN", "between", (0, 4), _SAS),
    Rule("FLAG", "equal", 0, _SAS),
)
_ACIS = (
    Rule("grade", "in", (0, 2, 3, 4, 6), _CIAO),
    Rule("status", "bits_clear", 0xFFFFFFFF, _CIAO, bits=32),
)
_FPM = (
    # b0000xxx00xxxx000, first bit leftmost
    Rule("STATUS", "bits_clear", 0b1111000110000111, _NUSCREEN, bits=16),
    Rule("SHIELD", "equal", 0, _NUSCREEN),
    Rule("GRADE", "between", (0, 26), _NUSCREEN),
)

STANDARD: Mapping[tuple[str, str], tuple[Rule, ...]] = MappingProxyType(
    {
        ("xmm", "PN"): _PN,
        ("xmm", "M1"): _MOS,
        ("xmm", "M2"): _MOS,
        ("chandra", "ACIS"): _ACIS,
        ("nustar", "FPMA"): _FPM,
        ("nustar", "FPMB"): _FPM,
    }
)
"""``(mission, instrument)`` to its standard rules."""

_FLAG_WORD = re.compile(r"\(\s*FLAG\s*&\s*0x([0-9a-fA-F]{1,8})\s*\)\s*==\s*0", re.ASCII)


def screening_for(events: EventList) -> tuple[Rule, ...]:
    """The standard rules for an event list.

    XMM lists define the flag words in their headers (``XMMEA_EM``, ``XMMEA_EP``): what the
    list declares wins over the table here.

    Raises
    ------
    DataError
        The declared flag word cannot be read.
    """
    rules = STANDARD[events.format.mission, events.format.instrument]
    if events.format.mission != "xmm":
        return rules
    keyword = "XMMEA_EP" if events.format.instrument == "PN" else "XMMEA_EM"
    declared = card_text(events.header, keyword)
    if not declared:
        return rules
    found = _FLAG_WORD.fullmatch(declared)
    if not found:
        raise DataError(
            "screening",
            f"{events.path.name} declares {keyword} as {declared!r}, which is no flag word",
            remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
        )
    word = Rule("FLAG", "bits_clear", int(found[1], 16), f"{keyword} of the event list")
    return (word, *rules[1:])


def rules_mask(rules: Sequence[Rule], rows: np.ndarray) -> np.ndarray:
    """Which rows fulfil every rule.

    Parameters
    ----------
    rules
        None of them: every row is kept.
    rows
        Shape (n,), structured, as `EventList.chunks` gives them.

    Returns
    -------
    ndarray
        Booleans, shape (n,).

    Raises
    ------
    DataError
        A column is absent, or not of the kind that its rule tests.

    Examples
    --------
    >>> rows = np.array([(0, 3), (0, 13), (4, 0)], dtype=[("FLAG", ">i4"), ("PATTERN", "u1")])
    >>> rules_mask(STANDARD["xmm", "M1"], rows).tolist()
    [True, False, False]
    """
    mask = np.ones(len(rows), dtype=bool)
    for rule in rules:
        mask &= _rule_mask(rule, read_column(rows, rule.column))
    return mask


def _rule_mask(rule: Rule, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind not in "iu" or column.ndim != 1 or (rule.bits and column.itemsize * 8 != rule.bits):
        raise DataError(
            "column-type",
            f"column {rule.column} is of type {column.dtype}, but the screening tests "
            f"{f'{rule.bits} bits' if rule.bits else 'an integer'}",
            remedy="use the list as the archive distributes it",
        )
    if rule.op == "bits_clear":
        return (column & np.array(rule.value, dtype=np.uint64).astype(column.dtype)) == 0
    if rule.op == "between":
        first, last = rule.value
        return (column >= first) & (column <= last)
    if rule.op == "in":
        return np.isin(column, rule.value)
    return column == rule.value


def rules_text(rules: Sequence[Rule]) -> str:
    """The rules for people, joined by `` && ``; ``none`` when there are none."""
    return " && ".join(_rule_text(rule) for rule in rules) or "none"


def _rule_text(rule: Rule) -> str:
    if rule.op == "bits_clear":
        return f"({rule.column} & {rule.value:#x}) == 0"
    if rule.op == "between":
        return f"{rule.column} in [{rule.value[0]}:{rule.value[1]}]"
    if rule.op == "in":
        return f"{rule.column} in ({','.join(map(str, rule.value))})"
    return f"{rule.column} == {rule.value}"


def rules_cfitsio(rules: Sequence[Rule]) -> str:
    """The rules as a row filter of CFITSIO's extended file names, without the brackets.

    Examples
    --------
    >>> rules_cfitsio(STANDARD["nustar", "FPMA"])
    '(STATUS == b0000xxx00xxxx000) && (SHIELD == 0) && (GRADE >= 0 && GRADE <= 26)'
    """
    return " && ".join(f"({_rule_cfitsio(rule)})" for rule in rules) or "1 == 1"


def _rule_cfitsio(rule: Rule) -> str:
    name = rule.column
    if rule.op == "bits_clear" and rule.bits:
        pattern = "".join("0" if bit == "1" else "x" for bit in f"{rule.value:0{rule.bits}b}")
        return f"{name} == b{pattern}"
    if rule.op == "bits_clear":
        # CFITSIO computes with signed numbers: a mask with the highest bit is written as negative.
        signed = rule.value - (1 << 32) if rule.value >= 1 << 31 else rule.value
        return f"({name} & {signed}) == 0"
    if rule.op == "between":
        return f"{name} >= {rule.value[0]} && {name} <= {rule.value[1]}"
    if rule.op == "in":
        return " || ".join(f"{name} == {value}" for value in rule.value)
    return f"{name} == {rule.value}"
