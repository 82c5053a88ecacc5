"""Event lists that tools have cleaned, their good times, and what was measured of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import DataError
from daxa.missions import MissionSpec
from daxa.run.product import Product
from daxa.run.task import canonical

if TYPE_CHECKING:
    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.eventlists.event_list import EventList

__all__ = ["Band", "adopt_events", "adopt_good_times", "adopt_measures", "identify"]

Band = tuple[float, float] | None
"""Edges in keV; None for all energies that an instrument recorded."""

_FLARES = re.compile(r"FLAREGTI([1-7])")


def identify(spec: MissionSpec, obs_id: str, name: str, kind: str) -> Product | None:
    """The product that a cleaned list of the archive would become, by the name that the archive would give it.

    Parameters
    ----------
    spec
        Whose list it is.
    obs_id
        The observation.
    name
        Of the file; the pipelines of the missions give the names that the archives have.
    kind
        Of the product.

    Returns
    -------
    Product or None
        None for a list that the native chain does not start from.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> identify(find_mission("swift"), "00020153006", "sw00020153006xpcw3po_cl.evt", "events").name
    'obsid00020153006-instXRT-subexppcw3-en-events.fits'
    """
    for entry in spec.native_inputs:
        for folder in spec.listings if entry.kind == "events" else ():
            if found := entry.regex(obs_id).fullmatch(f"{folder}/{name}.gz"):
                exposure = found.groupdict().get("exposure") or ""
                exposure = re.sub(r"[^A-Za-z0-9]", "", exposure) or "None"
                return Product(obs_id, entry.instrument, exposure, kind)
    return None


def adopt_events(work: Path, target: Path, *, events: str, obs_id: str, before: str, band: Band = None) -> None:
    """Write a list that tools have cleaned, with its good times, as native cleaning writes it.

    Parameters
    ----------
    work, target
        The directory in which the tools ran, and the product's path.
    events
        The list.
    obs_id
        The observation, for lists that do not name it.
    before
        The list as it was before flares were cut, '' for none.
    band
        Energies to which it was cut.

    Raises
    ------
    DataError
        The list cannot be read, or nothing of it is left.
    """
    from daxa.xray.cleaning.cleaned import write_clean_events

    own, cut = _cleaned(work / events, obs_id)
    write_clean_events(target, own, cut, _screened(own, cut, work / before if before else None, obs_id, band))


def adopt_good_times(work: Path, target: Path, *, events: str, obs_id: str) -> None:
    """Write the good times of a list that tools have cleaned."""
    from daxa.xray.cleaning.cleaned import write_gti

    own, cut = _cleaned(work / events, obs_id)
    write_gti(target, own, cut, _screened(own, cut, None, obs_id))


def _cleaned(path: Path, obs_id: str, *, flares: bool = True) -> tuple[EventList, Cut]:
    """A list, and the cut that keeps all of it: times that its flare tables exclude are removed from its good times."""
    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.eventlists.gti import intersect
    from daxa.xray.eventlists.opening import open_events

    events = open_events(path, obs_id=obs_id)
    gtis = dict(events.gtis)
    for table in events.tables if flares else ():
        if found := _FLARES.fullmatch(table.name):
            pairs = np.column_stack([table.numbers(name) for name in ("START", "STOP")]).astype(float)
            gtis[int(found[1])] = intersect(gtis.get(int(found[1]), np.empty((0, 2))), pairs)
    if not sum(map(len, gtis.values())):
        raise DataError(
            "no-good-time",
            f"{obs_id}: no good time is left in {path.name}",
            remedy="loosen the filter of flares for this observation, or leave it out (skip)",
        )
    return events, Cut((), gtis)


def _screened(
    events: EventList, cut: Cut, before: Path | None, obs_id: str, band: Band = None
) -> dict[str, tuple[object, str]]:
    """Cards that keep later steps from screening the list again: its energies, and whether time was cut."""
    from daxa.backends.native.exposure import band_channels
    from daxa.xray.cleaning.ownscreening import OwnScreening, own_cards

    channels = band_channels(events.format.mission, events.format, band) if band else None
    cards = own_cards(OwnScreening(standard=False, channels=channels))
    cards["FLAREMET"] = ("NONE" if before is None else "TOOL", "flare filter")
    if before is not None:
        _, whole = _cleaned(before, obs_id, flares=False)
        cards["GTISAME"] = (whole.identity == cut.identity, "good times are those of the archive's list")
    return cards


def adopt_measures(work: Path, target: Path, *, lists: Sequence[tuple[Product, str, str]], obs_id: str) -> None:
    """Write what was measured: good time, that of the list before, events, of every list.

    Parameters
    ----------
    work, target
        As for `adopt_events`.
    lists
        Product, cleaned list, list before.
    obs_id
        The observation.
    """
    from daxa.xray.cleaning.livetime import ontime

    entries = []
    for product, name, before in lists:
        events, cut = _cleaned(work / name, obs_id)
        whole, kept = _cleaned(work / before, obs_id, flares=False)
        entries.append({
            "instrument": product.instrument,
            "exposure": product.exposure,
            "good": round(max(ontime(events, cut.gtis).values()), 3),
            "archived": round(max(ontime(whole, kept.gtis).values()), 3),
            "events": len(events.rows),
            "flares": "",
            "left": {},
            "anomalous": [],
        })  # fmt: skip
    target.write_text(canonical({"exposures": entries}) + "\n", encoding="ascii")
