"""Swift's ultraviolet and optical telescope: the images of each filter are added, and sources are found in the sums.

It starts from the archive's sky images and exposure maps (level 2).  Its products have kinds of their own, so that no
later step takes them for X-ray data, and are made only where UVOT is a chosen instrument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from daxa.backends.chains import CallPlan, ChainProduct, Known, Link
from daxa.run.product import Product

__all__ = ["INSTRUMENT", "LINKS", "uvot_products"]

INSTRUMENT = "UVOT"

_FILE = re.compile(r"(?:.*/)?sw\d{11}(uvv|ubb|uuu|uw1|um2|uw2|uwh)_(sk|ex)\.img", re.ASCII)
"""Filter, and image or exposure map.  Images through the grisms (ugu, ugv) hold spectra."""

_KINDS = {"sk": "uvotimage", "ex": "uvotexposure", "src": "uvotsources"}
_NAMES = {"sk": "image", "ex": "exposure"}


def _sums(known: Known) -> list[CallPlan]:
    """One call for the images of a filter, and one for its exposure maps, with the same exposures left out."""
    if INSTRUMENT not in known.instruments:
        return []
    found = {(one[1], one[2]): path for path in known.inputs if (one := _FILE.fullmatch(path))}
    return [
        CallPlan(
            {"infile": path, "outfile": f"{name}_{what}.img", "expmap": what == "ex"},
            f"{INSTRUMENT}-{name}",
            _NAMES[what],
        )
        for (name, what), path in sorted(found.items())
        if (name, "sk") in found
    ]


def _searches(known: Known) -> list[CallPlan]:
    """One call for each sum: it has a single image, so that no extension must be named."""
    sums = {path: part for part, path in known.outputs("uvotimsum", "sum")}
    plans = []
    for path, part in sums.items():
        name, _, what = path.removesuffix(".img").partition("_")
        if what == "sk":
            exposure = f"{name}_ex.img" if f"{name}_ex.img" in sums else "NONE"
            plans.append(CallPlan({"infile": path, "outfile": f"{name}_src.fits", "expfile": exposure}, part))
    return plans


def uvot_products(known: Known) -> Iterator[ChainProduct]:
    """The sums and the lists of sources, under our names: the filter is in the place of the exposure.

    Parameters
    ----------
    known
        At the end.
    """
    for _, path in (*known.outputs("uvotimsum", "sum"), *known.outputs("uvotdetect", "sources")):
        name, _, what = path.rpartition(".")[0].partition("_")
        yield ChainProduct(path, Product(known.task.obs_id, INSTRUMENT, name, _KINDS[what]).name)


LINKS = (
    Link(
        "uvotimsum",
        "uvotimsum",
        _sums,
        "adds the UVOT's images of each filter, and their exposure maps",
        {"clobber": True},
        # Images and maps must be added on the same pixels.
        wired=("infile", "outfile", "expmap", "method"),
    ),
    Link(
        "uvotdetect",
        "uvotdetect",
        _searches,
        "finds sources in the sum of each filter",
        {"threshold": 3.0, "expopt": "ALPHA", "clobber": True},
        wired=("infile", "outfile", "expfile", "detected", "plotsrc", "regfile"),
    ),
)
"""They come after those of the XRT, and need none of them."""
