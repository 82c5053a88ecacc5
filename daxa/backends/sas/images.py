"""XMM-Newton, step images: counts images and exposure maps of every cleaned list, in every band."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.parameter_schema import Parameter
from daxa.backends.sas.common import (
    VARIABLES,
    check_date,
    cifbuild_at,
    cifbuild_link,
    part_of,
    place_product,
    product_of,
)
from daxa.errors import DataError
from daxa.run.machine import Resources
from daxa.run.product import Product
from daxa.run.task import canonical

__all__ = ["IMAGES", "channels"]

Band = tuple[float, float]

_SKY_PIXEL = 0.05
"""Arcsec of a step of the columns X and Y."""

_RANGE = (3649, 48106)
"""First and last X and Y of an image: 512 pixels of 87 steps, which the pipeline's own images have (their XPROC0)."""

_PARAMETERS = (
    Parameter("bands", "bands", ((0.5, 2.0), (2.0, 10.0)), "energy bands of the images", unit="keV"),
    Parameter("pixel", "quantity", 4.35, "pixel size", unit="arcsec", least=0.05, most=600.0),
)


def channels(bands: Sequence[Band]) -> dict[Band, tuple[int, int]]:
    """The first and the last channel (eV) of bands (keV): a channel at which two bands meet is in the lower one.

    Examples
    --------
    >>> channels([(0.5, 2.0), (2.0, 10.0)])
    {(0.5, 2.0): (500, 2000), (2.0, 10.0): (2001, 10000)}
    """
    ends = {round(1000 * hi) for _, hi in bands}
    found = {}
    for lo, hi in bands:
        first = round(1000 * lo)
        found[lo, hi] = (first + 1 if first in ends else first, round(1000 * hi))
    return found


def _lists(known: Known) -> list[tuple[str, str]]:
    found = [(part_of(path), path) for path in known.inputs if "-finalevents" in path]
    return [(part, path) for part, path in found if part not in known.left_out]


def _attitudes(known: Known) -> list[str]:
    return [path for path in known.inputs if "ATTTSR" in path]


def _cifbuild(known: Known) -> list[CallPlan]:
    return cifbuild_at(known, _lists(known)[0][1], "EVENTS")


def _name(band: Band) -> str:
    return f"{band[0]!r}_{band[1]!r}"


def _evselect(known: Known) -> list[CallPlan]:
    side = max(1, round(known.parameters["pixel"] / _SKY_PIXEL))
    first, last = _RANGE
    grid = {"xcolumn": "X", "ycolumn": "Y", "imagebinning": "binSize", "squarepixels": True}
    grid |= {"ximagebinsize": side, "yimagebinsize": side, "withxranges": True, "withyranges": True}
    grid |= {"ximagemin": first, "ximagemax": last, "yimagemin": first, "yimagemax": last}
    return [
        CallPlan(
            {
                **grid,
                "table": path,
                "imageset": f"{part}-{_name(band)}-image.fits",
                "expression": f"(PI in [{low}:{high}])",
            },
            part,
            _name(band),
        )
        for part, path in _lists(known)
        for band, (low, high) in channels(known.parameters["bands"]).items()
    ]


def _eexpmap(known: Known) -> list[CallPlan]:
    attitude = _attitudes(known)[0]
    images = {(call.part, call.name): call.outputs["image"][0] for call in known.finished if call.link == "evselect"}
    return [
        CallPlan(
            {
                "imageset": images[part, _name(band)],
                "attitudeset": attitude,
                "eventset": path,
                "expimageset": f"{part}-{_name(band)}-expmap.fits",
                "pimin": low,
                "pimax": high,
            },
            part,
            _name(band),
            VARIABLES,
        )
        for part, path in _lists(known)
        for band, (low, high) in channels(known.parameters["bands"]).items()
        if (part, _name(band)) in images
    ]


def _products(known: Known) -> list[ChainProduct]:
    from daxa.xray.eventlists.channels import energy_cards
    from daxa.xray.eventlists.formats import FORMATS

    products = []
    science = {place_product(item.file.path): item.file.science for item in known.task.inputs}
    for part, path in _lists(known):
        instrument, exposure = product_of(part)
        for band, pi in channels(known.parameters["bands"]).items():
            product = Product(known.task.obs_id, instrument, exposure, "image", *map(repr, band))
            # Equal for an image and its map, which are of the same list and the same channels.
            cut = hashlib.sha256(canonical([science.get(path, ""), list(pi)]).encode()).hexdigest()[:16]
            cards = {**energy_cards(FORMATS["XMM", "EMOS1"], pi), "CUTID": (cut, "digest of list and channels")}
            if merged := str(known.facts.header(path, "EVENTS").get("MERGED", "")):
                cards["MERGED"] = (merged, "exposures that were merged")
            for call in known.finished:
                if (call.part, call.name) != (part, _name(band)):
                    continue
                if call.link == "evselect":
                    products.append(
                        ChainProduct(call.outputs["image"][0], product.name, {**cards, "BUNIT": ("count", "unit")})
                    )
                elif call.link == "eexpmap":
                    plain = call.values.get("withvignetting", "yes") != "yes"
                    how = {"EXPMETH": ("SAS", "how the map was made"), "VIGNET": (not plain, "vignetting applied")}
                    name = product.name.replace("-image.", "-expmap.")
                    products.append(
                        ChainProduct(call.outputs["expmap"][0], name, {**cards, **how, "BUNIT": ("s", "unit")})
                    )
    return products


def _refuse(known: Known) -> None:
    check_date(known)
    whose = f"{known.task.mission} {known.task.obs_id}"
    if not _lists(known):
        raise DataError("no-exposure", f"{whose} has no cleaned event list", remedy="run the step clean again")
    if len(_attitudes(known)) != 1 and "eexpmap" in known.links:
        raise DataError(
            "attitude",
            f"{whose} has {len(_attitudes(known))} attitude files beside its cleaned lists, and eexpmap needs one",
            remedy='run the step events again, or leave the maps out: skip = ["eexpmap"] in [images]',
        )


IMAGES = Chain(
    missions=("xmm",),
    step="images",
    version="2",
    links=(
        cifbuild_link(_cifbuild),
        Link(
            "evselect",
            "evselect",
            _evselect,
            "counts images",
            {"writedss": True},
            ("table", "imageset", "withimageset", "expression"),
        ),
        Link(
            "eexpmap",
            "eexpmap",
            _eexpmap,
            "exposure maps",
            {
                "withdetcoords": False,
                "withvignetting": True,
                "usefastpixelization": False,
                "usedlimap": False,
                "attrebin": 4.0,
            },
            ("imageset", "attitudeset", "eventset", "expimageset", "pimin", "pimax"),
        ),
    ),
    products=_products,
    parameters=_PARAMETERS,
    place=place_product,
    resources=Resources(memory=2 << 30, time_limit=12 * 3600.0),
    calibrated=True,
    randomised=("image",),
    refuse=_refuse,
)
