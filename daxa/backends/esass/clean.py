"""The step clean through eSASS: flares by flaregti, then evtool in the remaining times.

flaregti writes its times into the list that it reads, where evtool looks for them; the list is a copy, never the
product of the previous step.  With ``gtifile`` it would write a separate file, which evtool cannot use.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from daxa.backends.adopting import adopt_events, adopt_good_times, adopt_measures
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.esass.events import refuse_scan
from daxa.backends.protocol import Resources
from daxa.run.product import Product, parse_product

__all__ = ["CLEAN"]

_HALF = 108_000
"""Half of the field in which flaregti looks for sources, sky pixels of 0.05 arcsec: 1.5 degrees."""


def _list(known: Known) -> str:
    """The only list of a tile."""
    return next((path for path in known.inputs if path.endswith("-events.fits")), "")


def _flaregti(known: Known) -> list[CallPlan]:
    if not _list(known):
        return []
    files = {"lightcurve": "flaregti_lightcurve.fits"}
    files |= {"write_lightcurve": "yes", "write_mask": "no", "write_thresholdimg": "no"}
    return [CallPlan({"eventfile": _list(known), **files})]


def _cut(known: Known) -> list[CallPlan]:
    if not _list(known):
        return []
    files = {"eventfiles": [_list(known)], "outfile": "clean.fits", "events": True, "image": False}
    return [CallPlan({**files, "gti": _times(known)})]


def _times(known: Known) -> str:
    """The tables of the list with the times to keep."""
    return "FLAREGTI" if "flaregti" in known.links else "GTI"


def _products(known: Known) -> list[ChainProduct]:
    before = _list(known)
    events = known.output("evtool", "events") or before
    if not events:
        return []
    product, obs_id = parse_product(before), known.task.obs_id
    common: dict[str, Any] = {"events": events, "obs_id": obs_id}
    own, gti = (Product(obs_id, product.instrument, product.exposure, kind).name for kind in ("finalevents", "gti"))
    measures = Product(obs_id, "ALL", "ALL", "measures", suffix="json").name
    return [
        *(ChainProduct(path, path) for _, path in known.outputs("flaregti", "lightcurve")),
        ChainProduct("", own, write=partial(adopt_events, before=before, **common)),
        ChainProduct("", gti, write=partial(adopt_good_times, **common)),
        ChainProduct("", measures, write=partial(adopt_measures, lists=[(product, events, before)], obs_id=obs_id)),
    ]


CLEAN = Chain(
    missions=("erass1", "erosita_calpv"),
    refuse=refuse_scan,
    step="clean",
    version="1",
    links=(
        Link(
            "flaregti",
            "flaregti",
            _flaregti,
            "finds flares, outside of sources that it finds itself",
            {
                "pimin": 200,
                "pimax": 10000,
                "mask_pimin": 200,
                "mask_pimax": 10000,
                "xmin": -_HALF,
                "xmax": _HALF,
                "ymin": -_HALF,
                "ymax": _HALF,
                "gridsize": 18,
                "binsize": 1200,
                "detml": 10,
                "timebin": 20,
                "source_size": 25,
                "source_like": 10,
                "fov_radius": 30,
                # -1: the threshold that leaves most signal.
                "threshold": -1,
                "max_threshold": -1,
                "mask_iter": 3,
            },
            wired=(
                *("eventfile", "gtifile", "lightcurve", "mask", "thresholdimg"),
                *("write_lightcurve", "write_mask", "write_thresholdimg"),
            ),
        ),
        Link(
            "evtool",
            "evtool",
            _cut,
            "keeps times without flares",
            {"pattern": 15, "clobber": True},
            wired=("eventfiles", "outfile", "events", "image", "gti"),
        ),
    ),
    products=_products,
    resources=Resources(memory=2 << 30),
    calibrated=True,
)
