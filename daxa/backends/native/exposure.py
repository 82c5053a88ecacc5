"""The exposures of an observation, as the native steps clean and images use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.missions import find_mission
from daxa.quantities import band_text
from daxa.run.product import Product, parse_product
from daxa.run.task import Task
from daxa.xray.eventlists.channels import pi_range
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import EventFormat, card_text
from daxa.xray.telescopes import imaging_of

__all__ = [
    "ARCHIVED",
    "ExposureTask",
    "LogsProduct",
    "band_channels",
    "band_text",
    "merged_parts",
    "named",
    "picture_title",
    "products_in",
]

ARCHIVED = "archivemap"
"""The kind of products that are exposure maps from the archive."""


def products_in(task: Task, sources: Mapping[str, Path], step: str, kind: str) -> Iterator[tuple[Path, Product]]:
    """Path and identity of each input of the task that is a product of this kind, sorted by name."""
    for name in sorted(item.file.path for item in task.inputs if item.step == step):
        if name.startswith("obsid") and (product := parse_product(name)).kind == kind:
            yield sources[step] / name, product


@contextmanager
def named(product: Product) -> Iterator[None]:
    """Let errors in what is done to a product name it, where they do not name its observation."""
    try:
        yield
    except (DataError, NotPossible) as problem:
        if product.obs_id in problem.message:
            raise
        raise problem.reworded(f"{product.name}: {problem.message}") from problem


def band_channels(mission: str, form: EventFormat, band: tuple[float, float]) -> tuple[int, int]:
    """First and last channel of a band (keV): those of the mission's named band if it has one."""
    named = {(one.lo, one.hi): one.channels(form.instrument) for one in imaging_of(mission).bands}
    first, last, _, _ = pi_range(form, *band, pi=named.get(band))
    return first, last


def picture_title(task: Task, headers: Sequence[fits.Header], product: Product | None = None) -> str:
    """The title of a picture of an observation, or of one of its products.

    Parameters
    ----------
    task
        The observation.
    headers
        Headers of what is drawn; the first that names a target counts.
    product
        None for a picture of all exposures.
    """
    name = next(filter(None, (card_text(header, "OBJECT") for header in headers)), "")
    target = "".join(letter for letter in name if letter.isprintable())[:40]
    simulated = next((header["SIMULATD"] for header in headers if "SIMULATD" in header), False) is True
    part = "" if product is None or product.exposure == "None" else f" {product.exposure}"
    detail = "" if product is None else f" {product.instrument}{part}"
    title = f"{find_mission(task.mission).title} {task.obs_id}{detail}  {target}".rstrip()
    return title + (" (simulated)" if simulated else "")


class LogsProduct:
    """Writes lines about one product into the log of a task."""

    product: Product
    log: TextIO

    def say(self, text: str) -> None:
        """Write a line."""
        print(f"{self.product.name}: {text}", file=self.log)


def merged_parts(header: fits.Header) -> frozenset[str]:
    """The exposures that were merged into a list or image, if there were several.

    Examples
    --------
    >>> from astropy.io import fits
    >>> sorted(merged_parts(fits.Header({"MERGED": "S001,S003"})))
    ['S001', 'S003']
    """
    return frozenset(card_text(header, "MERGED").split(",")) - {""}


@dataclass(frozen=True)
class ExposureTask(LogsProduct):
    """An exposure that a task works on, and where its products go."""

    task: Task
    events: EventList
    product: Product
    target: Path
    log: TextIO

    @property
    def title(self) -> str:
        """The title of a picture of it."""
        return picture_title(self.task, (self.events.header, self.events.primary), self.product)

    def path(self, kind: str, band: tuple[float, float] | None = None, suffix: str = "fits") -> Path:
        lo, hi = map(repr, band) if band else ("", "")
        return self.target / replace(self.product, kind=kind, lo=lo, hi=hi, suffix=suffix).name
