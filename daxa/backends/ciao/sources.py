"""The step sources through CIAO: a map of the point spread function, then wavelets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from daxa.backends.adopting import COVERAGE, adopt_search, adopt_sources, band_parameter
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.ciao.events import part_of
from daxa.backends.protocol import Resources
from daxa.run.product import Product, parse_product

__all__ = ["SOURCES"]

_COLUMNS = {
    "counts": "NET_COUNTS",
    "rate": "NET_RATE",
    "exposure": "EXPTIME",
    "x_error": "X_ERR",
    "y_error": "Y_ERR",
    "order": "SRC_SIGNIFICANCE",
}
"""Our columns from those of wavdetect, which gives no likelihood: sources are sorted by their significance."""


def _images(known: Known) -> Iterator[tuple[str, Product, str]]:
    """Part, product and path of the image to search: that of the chosen band, or the first."""
    found: dict[str, list[tuple[Product, str]]] = {}
    for path in known.inputs:
        if path.startswith("obsid") and path.endswith(".fits") and (product := parse_product(path)).kind == "image":
            found.setdefault(part_of(product), []).append((product, path))
    for part, images in sorted(found.items()):
        band = known.parameters["band"]
        matching = [one for one in images if band and (one[0].lo, one[0].hi) == tuple(map(repr, band))]
        if matching or not band or not images[0][0].lo:
            product, path = (matching or images)[0]
            yield part, product, path


def _expmap(path: str) -> str:
    return path.replace("-image.", "-expmap.")


def _mkpsfmap(known: Known) -> list[CallPlan]:
    plans = []
    for part, product, path in _images(known):
        energy = math.sqrt(float(product.lo) * float(product.hi)) if product.lo else 1.5
        values = {"infile": path, "outfile": f"{part}_psf.fits", "energy": round(energy, 3)}
        plans.append(CallPlan(values, part))
    return plans


def _wavdetect(known: Known) -> list[CallPlan]:
    plans = []
    for part, _, path in _images(known):
        values = {
            "infile": path,
            "psffile": known.output("mkpsfmap", "map", part),
            "outfile": f"{part}_src.fits",
            "scellfile": f"{part}_cell.fits",
            "imagefile": f"{part}_recon.fits",
            "defnbkgfile": f"{part}_bkg.fits",
            "regfile": f"{part}_src.reg",
        }
        if _expmap(path) in known.inputs:
            values["expfile"] = _expmap(path)
        plans.append(CallPlan(values, part))
    return plans


def _products(known: Known) -> list[ChainProduct]:
    found: list[ChainProduct] = []
    searches: list[tuple[dict[str, object], str]] = []
    for part, product, path in _images(known):
        instrument = product.instrument
        sources = known.output("wavdetect", "sources", part)
        band = f"{product.lo}-{product.hi} keV" if product.lo else ""
        entry: dict[str, object] = {"instrument": instrument, "exposure": product.exposure, "band": band}
        searches.append((entry, sources))
        if not sources:
            continue
        threshold = _threshold(known, part)
        facts: dict[str, Any] = {
            "method": "WAVDETECT",
            "radius": 4.0,
            "log_p": math.log(threshold),
            "false": threshold,
            "pixel": 1.0,
        }
        own = partial(adopt_sources, sources=sources, image=path, columns=_COLUMNS, facts=facts)
        for suffix in ("fits", "parquet", "reg"):
            name = Product(
                known.task.obs_id, instrument, product.exposure, "sourcelist", product.lo, product.hi, suffix
            ).name
            found.append(ChainProduct("", name, write=own))
        name = Product(known.task.obs_id, instrument, product.exposure, "background", product.lo, product.hi).name
        found.append(ChainProduct(known.output("wavdetect", "background", part), name))
    name = Product(known.task.obs_id, "ALL", "ALL", "search", suffix="json").name
    return [*found, ChainProduct("", name, write=partial(adopt_search, searches=searches, sensitivity=COVERAGE))]


def _threshold(known: Known, part: str) -> float:
    """The chance of a false source in a pixel, as passed to the call."""
    call = next(one for one in known.finished if one.link == "wavdetect" and one.part == part)
    return float(call.values.get("sigthresh", "1e-06"))


SOURCES = Chain(
    missions=("chandra",),
    step="sources",
    version="3",
    links=(
        Link(
            "mkpsfmap",
            "mkpsfmap",
            _mkpsfmap,
            "makes a map of the size of the point spread function",
            {"ecf": 0.393, "units": "arcsec", "clobber": True},
            wired=("infile", "outfile"),
        ),
        Link(
            "wavdetect",
            "wavdetect",
            _wavdetect,
            "searches for sources with wavelets",
            {"scales": [1.0, 2.0, 4.0, 8.0, 16.0], "sigthresh": 1e-06, "clobber": True},
            wired=(
                *("infile", "psffile", "outfile", "scellfile", "imagefile", "defnbkgfile", "regfile", "expfile"),
                "interdir",
            ),
            seconds=12 * 3600.0,
        ),
    ),
    products=_products,
    parameters=(band_parameter("0.5-2.0 keV"),),
    resources=Resources(memory=3 << 30),
    calibrated=True,
)
