"""Standard screening of events: the rules of each instrument, and what a list says itself.

The rules are in the instruments' declarations (`daxa.xray.telescopes.declared`), each with its
source; `daxa.xray.eventlists.rules` renders them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_text
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import FORMATS
from daxa.xray.eventlists.rules import Either, Rule, rules_cfitsio, rules_expression, rules_mask, rules_text
from daxa.xray.telescopes.registry import LazyDeclarations

__all__ = [
    "STANDARD",
    "Either",
    "Rule",
    "rules_cfitsio",
    "rules_expression",
    "rules_mask",
    "rules_text",
    "screening_for",
]


def _standard() -> dict[tuple[str, ...], tuple[Rule | Either, ...]]:
    return {
        (form.mission, form.instrument, form.mode) if form.mode else (form.mission, form.instrument): form.rules
        for form in FORMATS.values()
    }


STANDARD: Mapping[tuple[str, ...], tuple[Rule | Either, ...]] = LazyDeclarations(_standard)
"""``(mission, instrument)``, or with the mode where it has one, to the standard rules."""

_FLAG_WORD = re.compile(r"\(\s*FLAG\s*&\s*0x([0-9a-fA-F]{1,8})\s*\)\s*==\s*0", re.ASCII)


def screening_for(events: EventList) -> tuple[Rule | Either, ...]:
    """The standard rules for an event list.

    Some lists define the flag word in their headers (`EventFormat.flag_card`): what the list
    declares wins over the table here.

    Parameters
    ----------
    events
        The list.

    Returns
    -------
    tuple of Rule or Either
        None of them where the archive's lists are final.

    Raises
    ------
    DataError
        The declared flag word cannot be read.
    """
    rules = events.format.rules
    keyword = events.format.flag_card
    declared = card_text(events.header, keyword) if keyword else ""
    if not declared:
        return rules
    found = _FLAG_WORD.fullmatch(declared)
    if not found:
        raise DataError(
            "screening",
            f"{events.path.name} declares {keyword} as {declared!r}, which is not a flag word",
            remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
        )
    word = Rule("FLAG", "bits_clear", int(found[1], 16), f"{keyword} of the event list")
    return (word, *rules[1:])
