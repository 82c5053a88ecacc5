"""What a file says about itself: which table holds its events, of which observation and exposure they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.fits_tables import FitsTable
from daxa.xray.eventlists.formats import FORMATS, EventFormat

__all__ = ["events_table", "exposure_name", "observation_name", "read_assumptions"]

_OBS_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,62}[A-Za-z0-9])?", re.ASCII)

_EXPOSURE = re.compile(r"[SUX][0-9]{3}", re.ASCII)

_MOST_COLUMNS = 999

_MOST_ASSUMPTIONS = 99


def _other_tables() -> frozenset[str]:
    """Names of tables of events, besides the usual one."""
    return frozenset(name for form in FORMATS.values() for name in form.tables) - {"EVENTS"}


def events_table(path: Path, tables: tuple[FitsTable, ...]) -> FitsTable:
    """The one table of events of a file; a DataError where there is none, or more than one."""
    others = _other_tables()
    named = [table for table in tables if table.name == "EVENTS"] or [table for table in tables if table.name in others]
    typed = [table for table in tables if card_text(table.header, "HDUCLAS1").upper() == "EVENTS"]
    found = named or typed or [table for table in tables if _looks_like_events(table)][:1]
    if len(found) != 1:
        names = ", ".join(table.name or "one without a name" for table in found or tables) or "none"
        raise DataError(
            "not-events",
            f"{path.name} holds {len(found) or 'no'} tables of events; its tables: {names}",
            remedy=f"give an event list: a file with one table named EVENTS (or {', '.join(sorted(others))}) or whose "
            "HDUCLAS1 is EVENTS; spectra, light curves and images hold no events",
        )
    return found[0]


def _looks_like_events(table: FitsTable) -> bool:
    """Whether an unnamed table has what every event has: a time and a channel or an energy."""
    count = min(int(card_number(table.header, "TFIELDS", 0.0)), _MOST_COLUMNS)
    names = {card_text(table.header, f"TTYPE{number}").upper() for number in range(1, count + 1)}
    return "TIME" in names and not names.isdisjoint({"PI", "PHA", "ENERGY"})


def read_assumptions(header: fits.Header) -> Iterator[str]:
    """What was taken for granted when one of daxa's products was made, as it says (ASSUMEn)."""
    for number in range(1, _MOST_ASSUMPTIONS + 1):
        if not (text := card_text(header, f"ASSUME{number}")):
            return
        yield text


def observation_name(
    path: Path, form: EventFormat, events: fits.Header, primary: fits.Header, from_path: str
) -> tuple[str, tuple[str, ...]]:
    """The name of the observation, and remarks on it."""
    cards = (card_text(header, keyword) for keyword in form.obs_id_cards for header in (events, primary))
    text = next((card for card in cards if card), "")
    if not text and from_path and form.named:
        return from_path, (f"the list belongs to observation {from_path}, whose name it does not hold",)
    if not text and form.named:
        names = " or ".join(form.obs_id_cards)
        raise DataError(
            "obs-id",
            f"{path.name} does not say to which observation it belongs: its headers have no {names}",
            remedy=f"write {names} into the header of its events, or give the name "
            "(daxa.xray.open_events(path, obs_id=...))",
        )
    if text and not _OBS_ID.fullmatch(text):
        raise DataError(
            "obs-id",
            f"{path.name} says that it belongs to observation {text!r}, which is not an ObsID",
            remedy="use the list as the archive distributes it",
        )
    return text, ()


def exposure_name(events: fits.Header, primary: fits.Header) -> str:
    """The archive's exposure identifier, such as ``S001``; ``None`` (the text) where there is none."""
    text = card_text(events, "EXPIDSTR") or card_text(primary, "EXPIDSTR")
    return text if _EXPOSURE.fullmatch(text) else "None"
