"""Write the data subspace of a cut: the cards that say which events a cleaned list holds.

`daxa.xray.cleaning.subspace` explains them, and reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import product

from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.screening import Either, Rule
from daxa.xray.cleaning.subspace import MOST
from daxa.xray.eventlists.formats import card_text
from daxa.xray.eventlists.rules import mask_of, ranges_of, values_of

__all__ = ["describe_subspace"]

_FORM = re.compile(r"(\d{0,9})([XBIJK])", re.ASCII)
_WIDTH = {"X": 1, "B": 8, "I": 16, "J": 32, "K": 64}
_CARD = re.compile(r"\d*DS(?:TYP|VAL|REF|FORM|UNI|UNIT)\d+", re.ASCII)
_ANYTHING = ":"
_MOST_SHORT = 9
"""Axes, or components, whose numbers have one digit: a keyword has room for three digits."""
_ROOM = 66
"""Characters of a card for value and comment: 80 without keyword, signs, quotes and spaces."""


def describe_subspace(
    header: fits.Header,
    rules: Sequence[Rule | Either],
    tables: Sequence[tuple[tuple[int, ...], str]],
    *,
    chip_column: str = "",
    time_column: str = "TIME",
    spell_out: bool = False,
) -> None:
    """Write the data subspace of a cut into the header of its list, replacing what was there.

    Parameters
    ----------
    header
        The events header.  Axes of its own subspace other than chips and times stay: the list
        was made with them, too.
    rules
        The screening.
    tables
        Chips, and name of the table of their good times, in order; one table where there is no
        `chip_column`.
    chip_column, time_column
        Columns.
    spell_out
        Write ranges as CIAO does (``3:3``) and every axis in every component.
    """
    dropped = {chip_column.upper(), time_column.upper()}
    inherited = [one for one in _own_axes(header) if one[0].upper() not in dropped]
    own = [_axis_of(rule, header, spell_out=spell_out) for rule in rules if isinstance(rule, Rule)]
    axes = list(dict.fromkeys([*inherited, *filter(None, own)]))
    ways = _routes(rules, header, spell_out=spell_out)
    # What an alternative does not ask for may be anything in it.
    several = list(dict.fromkeys(name for way in ways for name in way))
    axes += [(name, ways[0].get(name, _ANYTHING), "", "") for name in several]
    for key in [key for key in header if _CARD.fullmatch(key)]:
        del header[key]
    chips = [_values_text(values, spell_out=spell_out) for values, _ in tables]
    if chip_column:
        axes.insert(0, (chip_column, chips[0], "", ""))
    first, last = len(axes) + 1 - len(several), len(axes) + 1
    components = len(tables) * len(ways)
    crowded = last > _MOST_SHORT and components > _MOST_SHORT
    if crowded:
        # A card of the tenth component has room for one more digit: what differs comes first, and alone.
        shared, own_chip = axes[bool(chip_column) : len(axes) - len(several)], axes[: bool(chip_column)]
        axes = [*own_chip, *axes[len(axes) - len(several) :], _TIME, *shared]
        first = len(own_chip) + 1
        last = first + len(several)
    else:
        axes.append(_TIME)
    if components > (MOST if last <= _MOST_SHORT else _MOST_SHORT):
        raise NotPossible(
            "subspace",
            f"{len(ways)} alternatives for each of {len(tables)} chips cannot be written to a header",
            remedy="write clean.expression with fewer ||",
        )
    for number, axis in enumerate(axes, start=1):
        if axis is not _TIME:
            _put(header, number, axis)
            continue
        header[f"DSTYP{last}"] = (time_column, _NAMED)
        header[f"DSUNI{last}"] = ("s", _UNIT)
        header[f"DSVAL{last}"] = ("TABLE", _VALUE)
    for index, ((place, (_, name)), way) in enumerate(product(enumerate(tables), ways)):
        prefix = "" if index == 0 else str(index + 1)
        if index and chip_column:
            header[f"{prefix}DSVAL1"] = (chips[place], _VALUE)
        if index and spell_out and not crowded:
            for number, (_, value, _, _) in enumerate(axes[1:-1], start=2):
                header[f"{prefix}DSVAL{number}"] = _commented(value, _VALUE)
            header[f"{prefix}DSVAL{last}"] = ("TABLE", _VALUE)
        for number, column in enumerate(several if index else (), start=first):
            header[f"{prefix}DSVAL{number}"] = _commented(way.get(column, _ANYTHING), _VALUE)
        header[f"{prefix}DSREF{last}"] = (f":{name}", "data subspace descriptor: reference")


_TIME = ("", "", "", "")
"""Stands for the axis of times among the others."""

_NAMED, _VALUE, _UNIT = (f"data subspace descriptor: {what}" for what in ("name", "value", "units"))


def _own_axes(header: fits.Header) -> list[tuple[str, str, str, str]]:
    """Name, value, type and unit of the axes that are in a header and are the same in all components."""
    return [
        (card_text(header, f"DSTYP{n}"), card_text(header, f"DSVAL{n}"), card_text(header, f"DSFORM{n}"),
         card_text(header, f"DSUNI{n}") or card_text(header, f"DSUNIT{n}"))
        for n in range(1, MOST + 1)
        if card_text(header, f"DSTYP{n}")
        and {card_text(header, f"{k}DSVAL{n}", card_text(header, f"DSVAL{n}")) for k in range(2, MOST + 1)}
        == {card_text(header, f"DSVAL{n}")}
    ]  # fmt: skip


def _values_text(values: Sequence[int], *, spell_out: bool) -> str:
    return ",".join(f"{value}:{value}" if spell_out else str(value) for value in values)


def _commented(value: str, comment: str) -> tuple[str, str]:
    """A card's value and comment, which has no room beside a long value."""
    return value, comment if len(value) + len(comment) < _ROOM else ""


def _put(header: fits.Header, number: int, axis: tuple[str, str, str, str]) -> None:
    name, value, form, unit = axis
    header[f"DSTYP{number}"] = _commented(name, _NAMED)
    header[f"DSVAL{number}"] = _commented(value, _VALUE)
    if form:
        header[f"DSFORM{number}"] = (form, "data subspace descriptor: data type")
    if unit:
        header[f"DSUNI{number}"] = (unit, _UNIT)


def _routes(rules: Sequence[Rule | Either], header: fits.Header, *, spell_out: bool) -> list[dict[str, str]]:
    """The requirements of the alternatives among the rules: column to value, one dictionary per combination."""
    choices = [
        [[_axis_of(rule, header, spell_out=spell_out) for rule in way] for way in rule.ways]
        for rule in rules
        if isinstance(rule, Either)
    ]
    return [{axis[0]: axis[1] for way in chosen for axis in way if axis} for chosen in product(*choices)]


def _axis_of(rule: Rule, header: fits.Header, *, spell_out: bool) -> tuple[str, str, str, str] | None:
    """Name, value, type and unit; None for a rule that no axis can express."""
    name = f"{rule.column}+{rule.plus[1]!r}*{rule.plus[0]}" if rule.plus else rule.column
    text, form = "", ""
    match rule.op:
        case "bits_clear" | "bits_set":
            bit_value = "0" if rule.op == "bits_clear" else "1"
            pattern = "".join(bit_value if bit == "1" else "x" for bit in f"{mask_of(rule):0{rule.bits or 32}b}")
            text, form = f"b{pattern}", "X"
        case "places_clear":
            places = range(1, _bits_in(header, rule.column) + 1)
            text, form = "b" + "".join("0" if place in values_of(rule) else "x" for place in places), "X"
        case "between":
            text = ":".join(map(str, values_of(rule)))
        case "within":
            # The nearest numbers inside: ranges are closed.
            first, last = values_of(rule)
            text = f"{math.nextafter(first, last)!r}:{math.nextafter(last, first)!r}"
        case "not_in":
            ends = ["", *(text for one in values_of(rule) for text in (f"{one - 1}", f"{one + 1}")), ""]
            text = ",".join(map(":".join, zip(ends[::2], ends[1::2], strict=True)))
        case "ranges":
            text = ",".join(":".join("" if end is None else repr(end) for end in limits) for limits in ranges_of(rule))
        case "in" | "equal":
            text = _values_text(values_of(rule), spell_out=spell_out)
    return (name, text, form, "") if text else None


def _bits_in(header: fits.Header, column: str) -> int:
    """Width of a column of bits or of whole numbers, as its TFORM says."""
    for number in range(1, int(header["TFIELDS"]) + 1):
        if card_text(header, f"TTYPE{number}").upper() == column.upper():
            form = _FORM.match(card_text(header, f"TFORM{number}"))
            return int(form[1] or 1) * _WIDTH[form[2]] if form else 0
    raise DataError("column", f"there is no column {column}", remedy="use the list as the archive distributes it")
