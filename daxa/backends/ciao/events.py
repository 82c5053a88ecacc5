"""The step events through CIAO: chandra_repro, for one list of level 1 events."""

from __future__ import annotations

import re

from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.protocol import Resources
from daxa.errors import DataError, NotPossible
from daxa.run.product import Product
from daxa.xray.eventlists.cards import card_text

__all__ = ["ACCOMPANYING", "EVENTS", "camera_in", "part_of"]

_OBSERVATION = "obs"
_RAW = re.compile(r"obs/secondary/(?:acis|hrc)f\d{5}\w*_evt1\.fits")
_ALTERNATING = re.compile(r"_e[12](?=_|N)")
ACCOMPANYING = ("aspect", "badpixels", "mask", "fov", "deadtime")
"""Outputs of chandra_repro that later tools need besides the list."""


def camera_in(known: Known, path: str) -> str:
    """ACIS or HRC, as the header of a list says.

    Raises
    ------
    DataError
        It says what cannot be the name of an instrument, which would become a part of file names.
    """
    name = card_text(known.facts.header(path, "EVENTS"), "INSTRUME").upper() or "ACIS"
    if not re.fullmatch(r"[A-Z0-9-]{1,16}", name, re.ASCII):
        raise DataError(
            "header",
            f"chandra {known.task.obs_id}: INSTRUME = {name[:40]!r} in {path} is not an instrument",
            remedy="fetch the observation again; if it stays so, leave it out",
        )
    return name


def part_of(product: Product, camera: str = "") -> str:
    """To which part of a chain a list or an image belongs: long and short frames that alternate stay apart.

    Examples
    --------
    >>> part_of(Product("1234", "ACIS", "None", "events")), part_of(Product("1234", "ACIS", "e2", "events"))
    ('ACIS', 'ACIS-e2')
    """
    name = camera or product.instrument
    return name if product.exposure == "None" else f"{name}-{product.exposure}"


def _refuse(known: Known) -> None:
    """Refuse observations that would need a directory for each part.

    Raises
    ------
    NotPossible
        Alternating exposures, or several observing intervals.
    DataError
        There are no level 1 events.
    """
    whose = f"chandra {known.task.obs_id}"
    raw = [path for path in known.inputs if _RAW.fullmatch(path)]
    if not raw:
        raise DataError("no-raw-events", f"{whose} has no list of level 1 events", remedy="fetch it again")
    if any(_ALTERNATING.search(path) for path in raw):
        raise NotPossible(
            "alternating",
            f"{whose} alternates long and short frames: chandra_repro takes one list at a time",
            remedy='do it natively, where both lists stay apart: backend = "native" in [events] for this observation',
        )
    if len(raw) > 1:
        raise NotPossible(
            "several-intervals",
            f"{whose} has {len(raw)} observing intervals: chandra_repro asks for splitobs first",
            remedy='leave it out, or do it natively: backend = "native" in [events] for this observation',
        )


def _repro(known: Known) -> list[CallPlan]:
    return [CallPlan({"indir": _OBSERVATION, "outdir": "repro", "set_ardlib": False})]


def _products(known: Known) -> list[ChainProduct]:
    found = []
    for _, path in known.outputs("chandra_repro", "events"):
        product = Product(known.task.obs_id, camera_in(known, path), "None", "events")
        found.append(ChainProduct(path, product.name))
    others = [path for output in ACCOMPANYING for _, path in known.outputs("chandra_repro", output)]
    return found + [ChainProduct(path, path.rpartition("/")[2]) for path in others]


EVENTS = Chain(
    missions=("chandra",),
    step="events",
    version="1",
    place=lambda path: f"{_OBSERVATION}/{path}",
    refuse=_refuse,
    links=(
        Link(
            "chandra_repro",
            "chandra_repro",
            _repro,
            "makes calibrated and screened events of level 1, with bad pixels and the field of view",
            {"cleanup": True, "clobber": True},
            # The shared choice of bad pixels (ardlib.par) is never touched: each call has its own.
            wired=("indir", "outdir", "root", "set_ardlib"),
            seconds=12 * 3600.0,
        ),
    ),
    products=_products,
    resources=Resources(memory=3 << 30),
    calibrated=True,
)
