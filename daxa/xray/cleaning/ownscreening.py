"""Screening that the user requests, instead of the standard one or in addition.

The request is kept in cards of the cleaned list (``SCREENED = 'own'`` and ``SCR...``), from
which the same rules are made again wherever the list is used.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from astropy.io import fits

from daxa.errors import ConfigError, NotPossible
from daxa.xray.cleaning.screening import screening_for
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.expression import bind_expression, parse_expression
from daxa.xray.eventlists.fits_tables import read_column
from daxa.xray.eventlists.rules import Either, Range, Rule, without

__all__ = [
    "OwnScreening",
    "check_flags",
    "own_cards",
    "own_rules",
    "placing_columns",
    "read_own",
    "read_values",
    "recorded_rules",
]

_GRADES = ("PATTERN", "GRADE", "PAT_TYP")
_FLAGS = ("FLAG", "STATUS", "EVENT_FLAGS")
_PLACES = re.compile(
    r"(RAW|CHIP|T?DET\d?|ACT|FOC|D)?[XY]|CRS[UV]|TG_[RD]|RA|DEC|PIXEL|SEGMENT|READNODE|(CHIP|DET|NODE|ANODE|PCU)_?ID",
    re.ASCII,
)
"""Columns that say where an event fell: on the sky, the detector, a chip, or a part of it with its own amplifier."""

_MOMENTS = re.compile(
    r"EXPNO|TICK|PULSE_PHASE|TRG_ID|(EVENT|EXPOSURE)_SEQ_NO|FRAME\w*|TIME_RO|[SL]_TIME|EXPTIME\w*|EXP_CENT_AETIME|AEDATE",
    re.ASCII,
)
"""Columns that say when it fell: other times, and numbers that count with time."""

_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)
_MASK = re.compile(r"0x([0-9a-fA-F]{1,8})", re.ASCII)
_MOST = 4095


@dataclass(frozen=True)
class OwnScreening:
    """The requested screening.

    Parameters
    ----------
    standard
        Whether the mission's standard screening holds where nothing else is said.
    patterns
        Grades or patterns that are kept, such as ``0-4`` or ``0,2-4,6``; '' for those of the screening.
    flags
        '' for those of the screening; ``word``: the mission's flag word alone, without stricter rules
        beside it (of XMM's lists the one that their header declares); ``none``; or a mask such as
        ``0x766ba000``, none of whose bits may be set.
    expression
        What events must also meet (`daxa.xray.eventlists.expression`), '' for nothing.
    channels
        First and last channel that are kept; None for all.
    """

    standard: bool = True
    patterns: str = ""
    flags: str = ""
    expression: str = ""
    channels: tuple[int, int] | None = None

    @property
    def is_own(self) -> bool:
        """Whether anything but the standard screening, or none, is requested."""
        return bool(self.patterns or self.flags or self.expression or self.channels)


def read_values(text: str) -> tuple[int, ...]:
    """Whole numbers from a text of numbers and ranges.

    Raises
    ------
    ValueError
        It is not such a text.

    Examples
    --------
    >>> read_values("0,2-4,6")
    (0, 2, 3, 4, 6)
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= _MOST:
            raise ValueError('write numbers and ranges such as "0-4" or "0,2-4,6"')
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def check_flags(text: str) -> str:
    """The text, if it says which flags are tested.

    Raises
    ------
    ValueError
        It does not.
    """
    if text in ("", "word", "none") or _MASK.fullmatch(text):
        return text
    raise ValueError('write "word", "none" or a mask such as "0x766ba000"')


def own_rules(events: EventList, own: OwnScreening, *, energies: bool = True) -> tuple[Rule | Either, ...]:
    """The rules of a screening for a list.

    Parameters
    ----------
    events
        The list.
    own
        The requested screening.
    energies
        False leaves the channels out: flares are looked for at all energies.

    Raises
    ------
    NotPossible
        The instrument has no grades, flags or energies, or the expression cannot be used for the list.
    ConfigError
        The expression is not valid.
    """
    rules = screening_for(events) if own.standard else ()
    standard = events.format.rules
    if own.patterns:
        column = _column_of(events, standard, _GRADES, "patterns", "grades")
        rule = Rule(column, "in", read_values(own.patterns), "asked for: clean.patterns")
        rules = (*(one for one in rules if not _is_on(one, column)), rule)
    if own.flags:
        column = _column_of(events, standard, _FLAGS, "flags", "flags")
        # A flag word may be several rules, such as bits that must be set and others that must not be.
        word = [one for one in screening_for(events) if isinstance(one, Rule) and _is_on(one, column)]
        rules = tuple(one for one in rules if not _is_on(one, column))
        if own.flags == "word":
            rules = (*([one for one in word if one.op != "equal"] or word[:1]), *rules)
        elif mask := _MASK.fullmatch(own.flags):
            bits = word[0].bits
            _check_width(events, column, int(mask[1], 16))
            rules = (Rule(column, "bits_clear", int(mask[1], 16), "asked for: clean.flags", bits=bits), *rules)
    if own.expression:
        rules = (*rules, *_expressed(events, own.expression, rules))
    if own.channels and energies:
        source = "asked for: clean.energy"
        first, last = own.channels
        column, null = events.format.pi_column, events.null_channel
        real = events.column(column).dtype.kind == "f"
        # Real channels count by their integer part.
        band: Range = (first, math.nextafter(last + 1.0, 0.0) if real else last)
        if null is not None and first <= null <= last:
            ranges = without([band], float(null) if real else null)
            rules = (*rules, Rule(column, "ranges", ranges, source))
        elif real:
            rules = (*rules, Rule(column, "ranges", (band,), source))
        else:
            rules = (*rules, Rule(column, "between", (first, last), source))
    return rules


def own_cards(own: OwnScreening) -> dict[str, tuple[object, str]]:
    """What was requested, as cards of the list's header: keyword to (value, comment)."""
    base = "standard" if own.standard else "none"
    if not own.is_own:
        return {"SCREENED": (base, "event screening")}
    cards: dict[str, tuple[object, str]] = {
        "SCREENED": ("own", "event screening"),
        "SCRBASE": (base, "screening that the following changes"),
    }
    if own.patterns:
        cards["SCRPATT"] = (own.patterns, "grades or patterns that are kept")
    if own.flags:
        cards["SCRFLAGS"] = (own.flags, "flags that are looked at")
    if own.channels:
        cards["SCRCHAN1"] = (own.channels[0], "first channel that is kept")
        cards["SCRCHAN2"] = (own.channels[1], "last channel that is kept")
    if own.expression:
        cards["SCREXPR"] = own.expression, ""
    return cards


def read_own(header: fits.Header) -> OwnScreening:
    """What cards of a cleaned list say that was requested."""
    word = card_text(header, "SCREENED")
    if word != "own":
        return OwnScreening(standard=word != "none")
    first, last = (int(card_number(header, f"SCRCHAN{end}", -1)) for end in (1, 2))
    return OwnScreening(
        standard=card_text(header, "SCRBASE") != "none",
        patterns=card_text(header, "SCRPATT"),
        flags=card_text(header, "SCRFLAGS"),
        expression=card_text(header, "SCREXPR"),
        channels=(first, last) if 0 <= first <= last else None,
    )


def recorded_rules(events: EventList) -> tuple[Rule | Either, ...]:
    """The rules by which a cleaned list was screened, as its header records."""
    return own_rules(events, read_own(events.header))


def placing_columns(own: OwnScreening) -> tuple[str, ...]:
    """Columns of an expression that depend on where or when an event fell: exposures do not account for such a cut."""
    columns = parse_expression(own.expression).columns if own.expression else ()
    return tuple(name for name in columns if _PLACES.fullmatch(name) or _MOMENTS.fullmatch(name))


def _expressed(events: EventList, text: str, others: tuple[Rule | Either, ...]) -> tuple[Rule | Either, ...]:
    try:
        expression = parse_expression(text)
    except ValueError as problem:
        raise ConfigError("expression", f"clean.expression: {problem}", remedy="write it again") from None
    form = events.format
    for name, instead in ((form.time_column, "clean.flares"), (form.chip_column, "clean.chips")):
        if name and name.upper() in expression.columns:
            raise NotPossible(
                "expression",
                f"clean.expression must not test {name}: exposure maps would not account for it ({events.obs_id})",
                remedy=f"use {instead} for that",
            )
    rules = bind_expression(expression, events)
    taken = {name for one in others if isinstance(one, Either) for name in _columns(one)}
    if any(isinstance(one, Either) and taken & _columns(one) for one in rules):
        raise NotPossible(
            "expression",
            f"clean.expression and the standard screening have alternatives (||) in the same columns ({events.obs_id})",
            remedy="write it without ||, or set screening to none",
        )
    return rules


def _columns(either: Either) -> set[str]:
    return {rule.column.upper() for way in either.ways for rule in way}


def _is_on(rule: Rule | Either, column: str) -> bool:
    return isinstance(rule, Rule) and rule.column.upper() == column.upper()


def _check_width(events: EventList, column: str, mask: int) -> None:
    """Refuse a mask with bits that the column does not have, or a column of so many bits that masks are not read."""
    kind = read_column(events.rows[:0], column, opaque=True).dtype
    width = 8 * kind.itemsize
    if kind.kind not in "iu" or mask.bit_length() > width:
        why = f"has {width} bits" if kind.kind in "iu" else "is not a column of 8, 16, 32 or 64 bits"
        raise NotPossible(
            "flags",
            f"clean.flags cannot be {mask:#x} for {events.path.name} ({events.obs_id}): {column} {why}",
            remedy='choose a mask of that many bits, "word" or "none"',
        )


def _column_of(
    events: EventList, standard: tuple[Rule | Either, ...], names: tuple[str, ...], key: str, what: str
) -> str:
    """The column that the standard screening tests for grades or flags."""
    found = [one.column for one in standard if isinstance(one, Rule) and one.column.upper() in names]
    if not found:
        raise NotPossible(
            key,
            f"the standard screening of {events.format.title} tests no {what}, so clean.{key} has no effect",
            remedy="write clean.expression with a column of the list, or leave the instrument out",
        )
    return found[0]
