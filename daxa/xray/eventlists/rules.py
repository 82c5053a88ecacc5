"""Rules about events: data, rendered to numpy, to the expressions of mission tools, and to text.

A rule becomes a mask over rows (`rules_mask`), a row filter in the syntax of CFITSIO
(`rules_cfitsio`, so that anyone can check us with another program), what the mission's
own tool would be given (`rules_expression`) and a text for headers (`rules_text`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import cast

import numpy as np

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists.fits_tables import in_machine_order, read_column
from daxa.xray.telescopes.rule import Dialect, Either, Range, Rule

__all__ = [
    "Dialect",
    "Either",
    "Range",
    "Rule",
    "mask_of",
    "ranges_of",
    "rules_cfitsio",
    "rules_expression",
    "rules_mask",
    "rules_text",
    "values_of",
    "without",
]


def values_of(rule: Rule) -> tuple[int, ...]:
    """The numbers that a rule tests with: its set, its two ends, its places, or its one value; not for ``ranges``.

    Examples
    --------
    >>> values_of(Rule("PATTERN", "between", (0, 12), "")), values_of(Rule("FLAG", "equal", 0, ""))
    ((0, 12), (0,))
    """
    # The operation says of which form the value is.
    return cast("tuple[int, ...]", rule.value) if isinstance(rule.value, tuple) else (rule.value,)


def mask_of(rule: Rule) -> int:
    """The mask of a rule ``bits_clear`` or ``bits_set``."""
    return values_of(rule)[0]


def ranges_of(rule: Rule) -> tuple[Range, ...]:
    """The ranges of a rule ``ranges``."""
    # The operation says of which form the value is.
    return cast("tuple[Range, ...]", rule.value)


def without(ranges: Sequence[Range], value: float) -> tuple[Range, ...]:
    """Ranges less one value, such as the one that means "none".

    Examples
    --------
    >>> without([(0, 10)], 3), without([(0, 10)], 0), without([(None, None)], 0.5)
    (((0, 2), (4, 10)), ((1, 10),), ((None, 0.49999999999999994), (0.5000000000000001, None)))
    """
    whole = isinstance(value, int)
    below, above = (value + step if whole else math.nextafter(value, step * math.inf) for step in (-1, 1))
    found: list[Range] = []
    for first, last in ranges:
        if (first is not None and value < first) or (last is not None and value > last):
            found.append((first, last))
            continue
        found += [(first, below)] if first is None or first <= below else []
        found += [(above, last)] if last is None or above <= last else []
    return tuple(found)


def rules_mask(rules: Sequence[Rule | Either], rows: np.ndarray) -> np.ndarray:
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
    >>> rules_mask([Rule("PATTERN", "between", (0, 12), ""), Rule("FLAG", "equal", 0, "")], rows).tolist()
    [True, False, False]
    """

    @cache
    def read(name: str) -> np.ndarray:
        return in_machine_order(read_column(rows, name))

    mask = np.ones(len(rows), dtype=bool)
    zero = {rule.column for rule in rules if isinstance(rule, Rule) and rule.op == "equal" and rule.value == 0}
    for rule in rules:
        if isinstance(rule, Rule) and rule.op == "bits_clear" and rule.column in zero:
            continue  # the rule that all bits are clear says as much
        if isinstance(rule, Either):
            mask &= np.logical_or.reduce([rules_mask(way, rows) for way in rule.ways])
        elif rule.op == "places_clear":
            mask &= _places_clear(rule, read_column(rows, rule.column, opaque=True))
        else:
            mask &= _rule_mask(rule, read)
    return mask


def _rule_mask(rule: Rule, read: Callable[[str], np.ndarray]) -> np.ndarray:
    column = read(rule.column)
    if rule.plus is not None:
        other, factor = rule.plus
        values = _numbers(rule, column) + factor * _numbers(rule, read(other))
        first, last = values_of(rule)
        return (values > first) & (values < last)
    if rule.op == "ranges":
        return _in_ranges(rule, column)
    if column.dtype.kind not in "iu" or column.ndim != 1 or (rule.bits and column.itemsize * 8 != rule.bits):
        raise _wrong_kind(rule, column, f"{rule.bits} bits" if rule.bits else "an integer")
    if rule.op in {"bits_clear", "bits_set"}:
        bits = np.array(mask_of(rule), dtype=np.uint64).astype(column.dtype)
        return (column & bits) == (0 if rule.op == "bits_clear" else bits)
    if rule.op in {"in", "not_in"}:
        # A few comparisons are faster than numpy's isin, which builds a table.
        found = np.logical_or.reduce([column == value for value in values_of(rule)])
        return found if rule.op == "in" else ~found
    if rule.op == "equal":
        return column == values_of(rule)[0]
    first, last = values_of(rule)
    return (column >= first) & (column <= last) if rule.op == "between" else (column > first) & (column < last)


def _in_ranges(rule: Rule, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise _wrong_kind(rule, column, "a number")
    found = np.zeros(len(column), dtype=bool)
    # Limits of real columns are compared in double precision, as CFITSIO does.
    values = column.astype(np.float64) if column.dtype.kind == "f" else column
    for first, last in ranges_of(rule):
        inside = np.ones(len(column), dtype=bool) if column.dtype.kind != "f" else ~np.isnan(values)
        if first is not None:
            inside &= values >= first
        if last is not None:
            inside &= values <= last
        found |= inside
    return found


def _numbers(rule: Rule, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise _wrong_kind(rule, column, "a number")
    return column.astype(np.float64)


def _places_clear(rule: Rule, column: np.ndarray) -> np.ndarray:
    """Bit columns of odd widths are opaque; their bytes are looked at one by one."""
    width, places = column.dtype.itemsize, values_of(rule)
    if column.ndim != 1 or column.dtype.kind not in "uV" or width * 8 < max(places):
        raise _wrong_kind(rule, column, f"at least {max(places)} bits")
    big = column if column.dtype.kind == "V" else column.astype(column.dtype.newbyteorder(">"), copy=False)
    content = np.ascontiguousarray(big).view(np.uint8).reshape(len(column), width)
    clear = np.ones(len(column), dtype=bool)
    for place in places:
        clear &= content[:, (place - 1) // 8] & (0x80 >> (place - 1) % 8) == 0
    return clear


def _wrong_kind(rule: Rule, column: np.ndarray, expected: str) -> DataError:
    return DataError(
        "column-type",
        f"column {rule.column} is of type {column.dtype}, but the screening tests {expected}",
        remedy="use the list as the archive distributes it",
    )


def rules_text(rules: Sequence[Rule | Either]) -> str:
    """The rules for people.

    Parameters
    ----------
    rules
        What events must fulfil.

    Returns
    -------
    str
        Joined by ``&&``; ``none`` when there are none.
    """
    return " && ".join(_text(rule) for rule in rules) or "none"


def _text(rule: Rule | Either) -> str:
    if isinstance(rule, Either):
        return f"({' || '.join(f'({rules_text(way)})' for way in rule.ways)})"
    tested = rule.column if rule.plus is None else f"{rule.column} + {rule.plus[1]:g} {rule.plus[0]}"
    if rule.op in {"bits_clear", "bits_set"}:
        return f"({tested} & {mask_of(rule):#x}) == {0 if rule.op == 'bits_clear' else hex(mask_of(rule))}"
    if rule.op == "ranges":
        return f"{tested} in {','.join(f'[{_end(first)}:{_end(last)}]' for first, last in ranges_of(rule))}"
    values = values_of(rule)
    listed = ",".join(map(str, values))
    return {
        "places_clear": f"bits {listed} of {tested} == 0",
        "between": f"{tested} in [{values[0]}:{values[-1]}]",
        "within": f"{values[0]} < {tested} < {values[-1]}",
        "in": f"{tested} in ({listed})",
        "not_in": f"{tested} not in ({listed})",
        "equal": f"{tested} == {listed}",
    }[rule.op]


def _end(value: float | None) -> str:
    return "" if value is None else repr(value)


def rules_cfitsio(rules: Sequence[Rule | Either]) -> str:
    """The rules as a row filter of CFITSIO's extended file names.

    Parameters
    ----------
    rules
        What events must fulfil.

    Returns
    -------
    str
        Without the brackets.

    Examples
    --------
    >>> from daxa.xray.cleaning.screening import STANDARD
    >>> rules_cfitsio(STANDARD["nustar", "FPMA"])
    '(STATUS == b000000000x0xx000) && (SHIELD == 0) && (GRADE >= 0 && GRADE <= 26)'
    """
    return " && ".join(f"({_cfitsio(rule)})" for rule in rules) or "1 == 1"


def _cfitsio(rule: Rule | Either) -> str:
    if isinstance(rule, Either):
        return " || ".join(f"({rules_cfitsio(way)})" for way in rule.ways)
    if rule.op in {"bits_clear", "bits_set"}:
        return _cfitsio_bits(rule)
    name = rule.column if rule.plus is None else f"({rule.column} + {rule.plus[1]!r} * {rule.plus[0]})"
    if rule.op == "ranges":
        return " || ".join(_cfitsio_range(name, *limits) for limits in ranges_of(rule))
    values = values_of(rule)
    return {
        "places_clear": " && ".join(f"{name}[{place}] == b0" for place in values),
        "between": f"{name} >= {values[0]} && {name} <= {values[-1]}",
        "within": f"{name} > {values[0]} && {name} < {values[-1]}",
        "in": " || ".join(f"{name} == {value}" for value in values),
        "not_in": " && ".join(f"{name} != {value}" for value in values),
        "equal": f"{name} == {values[0]}",
    }[rule.op]


def _cfitsio_range(name: str, first: float | None, last: float | None) -> str:
    ends = ((">=", first), ("<=", last))
    return " && ".join(f"{name} {sign} {end!r}" for sign, end in ends if end is not None) or f"{name} == {name}"


def _cfitsio_bits(rule: Rule) -> str:
    if rule.bits:
        return f"{rule.column} == b{_pattern(rule, '0' if rule.op == 'bits_clear' else '1')}"
    # CFITSIO computes with signed numbers: a mask with the highest bit is written as negative.
    mask = mask_of(rule)
    signed = mask - (1 << 32) if mask >= 1 << 31 else mask
    return f"({rule.column} & {signed}) == {0 if rule.op == 'bits_clear' else signed}"


def _pattern(rule: Rule, expected: str) -> str:
    return "".join(expected if bit == "1" else "x" for bit in f"{mask_of(rule):0{rule.bits}b}")


def rules_expression(rules: Sequence[Rule | Either], dialect: Dialect) -> str:
    """The rules as the mission's own tool takes them.

    Parameters
    ----------
    rules
        What events must fulfil.
    dialect
        ``sas``: the ``expression`` of ``evselect``; ``ciao``: a data model filter, with its
        brackets; ``heasoft``: a row filter of ``ftselect``, ``nuscreen`` or ``xselect``;
        ``esass``: the parameters ``flag`` and ``pattern`` of ``evtool``.

    Returns
    -------
    str
        '' or what the tool takes for everything, where there are no rules.

    Raises
    ------
    NotPossible
        The tool cannot express a rule.

    Examples
    --------
    >>> from daxa.xray.cleaning.screening import STANDARD
    >>> rules_expression(STANDARD["xmm", "PN"], "sas")
    '((FLAG & 0xcfa0000) == 0) && (PATTERN in [0:4]) && (FLAG == 0)'
    >>> rules_expression(STANDARD["chandra", "ACIS"], "ciao")
    '[grade=0,2,3,4,6,status=00000000000000000000000000000000]'
    """
    if dialect == "heasoft":
        return rules_cfitsio(rules)
    plain = [rule for rule in rules if isinstance(rule, Rule)]
    if len(plain) != len(rules):
        raise _no_words(dialect, "alternatives")
    if dialect == "sas":
        return " && ".join(f"({_sas(rule)})" for rule in plain) or "true"
    if dialect == "ciao":
        return f"[{','.join(_ciao(rule) for rule in plain)}]" if plain else ""
    return " ".join(_esass(rule) for rule in plain)


def _sas(rule: Rule) -> str:
    if rule.op == "ranges":
        return " || ".join(f"({_text(replace(rule, value=(limits,)))})" for limits in ranges_of(rule))
    if rule.plus is not None or rule.bits or rule.op not in {"bits_clear", "between", "in", "equal"}:
        raise _no_words("sas", rules_text([rule]))
    return _text(rule)


def _ciao(rule: Rule) -> str:
    if rule.op == "bits_clear" and rule.bits:
        return f"{rule.column}={_pattern(rule, '0')}"
    if rule.op == "in":
        return f"{rule.column}={','.join(map(str, values_of(rule)))}"
    if rule.op == "between":
        return f"{rule.column}={':'.join(map(str, values_of(rule)))}"
    if rule.op == "equal":
        return f"{rule.column}={rule.value}"
    if rule.op == "ranges":
        return f"{rule.column}={','.join(f'{_end(first)}:{_end(last)}' for first, last in ranges_of(rule))}"
    raise _no_words("ciao", rules_text([rule]))


def _esass(rule: Rule) -> str:
    if rule.column == "FLAG" and rule.op == "bits_clear":
        return f"flag={mask_of(rule):#010x}"
    if rule.column == "PAT_TYP" and rule.op == "between" and values_of(rule)[0] >= 1:
        first, last = values_of(rule)
        return f"pattern={sum(1 << (kind - 1) for kind in range(first, last + 1))}"
    raise _no_words("esass", rules_text([rule]))


def _no_words(dialect: str, what: str) -> NotPossible:
    return NotPossible(
        "expression",
        f"the tools of {dialect} have no expression for {what}",
        remedy="screen natively, or write the mission's expression by hand",
    )
