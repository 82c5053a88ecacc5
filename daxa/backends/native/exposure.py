"""The exposures of an observation, as the native steps clean and images see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from astropy.io import fits

from daxa.missions import find_mission
from daxa.run.product import Product, parse_product
from daxa.run.task import Task
from daxa.xray.lists.bands import pi_range
from daxa.xray.lists.events import EventList
from daxa.xray.lists.formats import EventFormat, card_text

__all__ = ["ARCHIVED", "Exposure", "band_channels", "band_text", "merged_parts", "products_in"]

ARCHIVED = "archivemap"
"""Kind of a product that is the archive's own exposure map."""


def products_in(task: Task, sources: Mapping[str, Path], step: str, kind: str) -> Iterator[tuple[Path, Product]]:
    """Path and identity of each input of the task that is a product of this kind, sorted by name."""
    for name in sorted(item.file.path for item in task.inputs if item.step == step):
        if name.startswith("obsid") and (product := parse_product(name)).kind == kind:
            yield sources[step] / name, product


def band_channels(mission: str, form: EventFormat, band: tuple[float, float]) -> tuple[int, int]:
    """First and last channel of a band (keV): those of the mission's named band where it has one."""
    named = {(one.lo, one.hi): one.channels(form.instrument) for one in find_mission(mission).bands}
    first, last, _, _ = pi_range(form, *band, pi=named.get(band))
    return first, last


def band_text(band: tuple[float, float] | None) -> str:
    """A band as people write it.

    Examples
    --------
    >>> band_text((0.5, 2.0)), band_text(None)
    ('0.5-2 keV', 'all channels')
    """
    return f"{band[0]:g}-{band[1]:g} keV" if band else "all channels"


def merged_parts(header: fits.Header) -> frozenset[str]:
    """The exposures that a list or image holds, where several were merged into it.

    Examples
    --------
    >>> from astropy.io import fits
    >>> sorted(merged_parts(fits.Header({"MERGED": "S001,S003"})))
    ['S001', 'S003']
    """
    return frozenset(card_text(header, "MERGED").split(",")) - {""}


@dataclass(frozen=True)
class Exposure:
    """An exposure that a task works on, and where its products go."""

    task: Task
    events: EventList
    product: Product
    target: Path
    log: TextIO

    def say(self, text: str) -> None:
        print(f"{self.product.name}: {text}", file=self.log)

    @property
    def title(self) -> str:
        """What a picture of it is called."""
        events, product = self.events, self.product
        name = card_text(events.header, "OBJECT") or card_text(events.primary, "OBJECT")
        target = "".join(letter for letter in name if letter.isprintable())[:40]
        part = "" if product.exposure == "None" else f" {product.exposure}"
        mission = find_mission(self.task.mission).title
        told = " (simulated)" if events.header.get("SIMULATD", events.primary.get("SIMULATD")) is True else ""
        return f"{mission} {product.obs_id} {product.instrument}{part}  {target}".rstrip() + told

    def path(self, kind: str, band: tuple[float, float] | None = None, suffix: str = "fits") -> Path:
        lo, hi = map(repr, band) if band else ("", "")
        return self.target / replace(self.product, kind=kind, lo=lo, hi=hi, suffix=suffix).name
