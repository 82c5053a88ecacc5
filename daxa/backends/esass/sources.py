"""The step sources through eSASS: mask, boxes, background, boxes above it, maximum likelihood, catalogue."""

from __future__ import annotations

from functools import partial
from typing import Any

from daxa.backends.adopting import COVERAGE, adopt_search, adopt_sources, band_parameter
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.esass.events import refuse_scan
from daxa.backends.protocol import Resources
from daxa.run.product import Product, parse_product

__all__ = ["SOURCES"]

_COLUMNS = {
    "counts": "ML_CTS_0",
    "rate": "ML_RATE_0",
    "exposure": "ML_EXP_0",
    "x_error": "X_IMA_ERR",
    "y_error": "Y_IMA_ERR",
    "likelihood": "DET_LIKE_0",
    "extent": "EXT",
    "extent_likelihood": "EXT_LIKE",
}
"""Our columns from those of the catalogue."""

_MASK, _LOCAL, _BACKGROUND, _CHEESE = "mask.fits", "boxes_local.fits", "background.fits", "cheese.fits"
_BOXES, _LIKELY, _MODEL, _CATALOGUE = "boxes.fits", "likely.fits", "model.fits", "catalogue.fits"


def _searched(known: Known) -> tuple[Product, str] | None:
    """The image of the chosen band, or of the lowest; None if it has no exposure map."""
    found = []
    for path in known.inputs:
        if path.startswith("obsid") and path.endswith("-image.fits"):
            product = parse_product(path)
            found.append(((float(product.lo or 0), float(product.hi or 0)), product, path))
    band = known.parameters["band"]
    matching = [one for one in sorted(found, key=lambda one: one[0]) if not band or one[0] == band]
    return next(((one[1], one[2]) for one in matching if _expmap(one[2]) in known.inputs), None)


def _expmap(path: str) -> str:
    return path.replace("-image.", "-expmap.")


def _energies(product: Product) -> tuple[float, float]:
    """In eV."""
    return 1000 * float(product.lo), 1000 * float(product.hi)


def _files(known: Known) -> dict[str, object]:
    """What the searches read: one image, its map, the mask, and its energies; nothing if there is no image."""
    found = _searched(known)
    if found is None:
        return {}
    (lo, hi), path = _energies(found[0]), found[1]
    return {"images": [path], "expimages": [_expmap(path)], "detmasks": [_MASK], "emin": [lo], "emax": [hi]}


def _call(files: dict[str, object], **values: object) -> list[CallPlan]:
    return [CallPlan({**files, **values})] if files else []


def _ermask(known: Known) -> list[CallPlan]:
    found = _searched(known)
    return [CallPlan({"expimage": _expmap(found[1]), "detmask": _MASK})] if found else []


def _erbox(known: Known) -> list[CallPlan]:
    return _call(_files(known), boxlist=_LOCAL, bkgima_flag=False)


def _erbackmap(known: Known) -> list[CallPlan]:
    found = _searched(known)
    if found is None:
        return []
    (lo, hi), path = _energies(found[0]), found[1]
    files: dict[str, object] = {"image": path, "expimage": _expmap(path), "boxlist": _LOCAL, "detmask": _MASK}
    return _call(files, bkgimage=_BACKGROUND, cheesemask=_CHEESE, emin=lo, emax=hi)


def _erbox_map(known: Known) -> list[CallPlan]:
    return _call(_files(known), boxlist=_BOXES, bkgima_flag=True, bkgimages=[_BACKGROUND])


def _ermldet(known: Known) -> list[CallPlan]:
    return _call(_files(known), mllist=_LIKELY, boxlist=_BOXES, bkgimages=[_BACKGROUND], srcimages=[_MODEL])


def _catprep(known: Known) -> list[CallPlan]:
    return [CallPlan({"infile": _LIKELY, "outfile": _CATALOGUE})] if _searched(known) else []


def _products(known: Known) -> list[ChainProduct]:
    found: list[ChainProduct] = []
    searches: list[tuple[dict[str, object], str]] = []
    if searched := _searched(known):
        product, path = searched
        sources = known.output("catprep", "catalogue")
        entry: dict[str, object] = {"instrument": product.instrument, "exposure": product.exposure}
        searches.append(({**entry, "band": f"{product.lo}-{product.hi} keV"}, sources))
        facts: dict[str, Any] = {"method": "ERMLDET", "radius": 7.0, "log_p": -_likemin(known), "pixel": 1, "false": -1}
        write = partial(adopt_sources, sources=sources, image=path, columns=_COLUMNS, facts=facts)
        if sources:
            names = [product.name_beside("sourcelist", suffix) for suffix in ("fits", "parquet", "reg")]
            found += [ChainProduct("", name, write=write) for name in names]
            found.append(ChainProduct(sources, "esass_catalogue.fits"))
        if background := known.output("erbackmap", "background"):
            found.append(ChainProduct(background, product.name_beside("background")))
    search = Product(known.task.obs_id, "ALL", "ALL", "search", suffix="json").name
    return [*found, ChainProduct("", search, write=partial(adopt_search, searches=searches, sensitivity=COVERAGE))]


def _likemin(known: Known) -> float:
    """The lowest likelihood of a source, as passed to the call."""
    values = next((call.values for call in known.finished if call.link == "ermldet"), {})
    return float(values.get("likemin", "5"))


_WIRED = ("images", "expimages", "detmasks", "emin", "emax", "boxlist", "bkgimages", "bkgima_flag")
_ECF = {"ecf": [1.0e12]}
"""Energy conversion factor of the cookbook: fluxes need the user's own, counts and rates do not."""

_BOX = {"nruns": 3, "boxsize": 4, "compress_flag": False, **_ECF}

SOURCES = Chain(
    missions=("erass1", "erosita_calpv"),
    refuse=refuse_scan,
    step="sources",
    version="3",
    links=(
        Link(
            "ermask",
            "ermask",
            _ermask,
            "makes a mask of what was exposed",
            {"threshold1": 0.1, "threshold2": 1.0, "regionfile_flag": False},
            wired=("expimage", "detmask"),
        ),
        Link(
            "erbox",
            "erbox",
            _erbox,
            "finds sources in boxes, with the background around each",
            {**_BOX, "likemin": 6.0},
            wired=_WIRED,
        ),
        Link(
            "erbackmap",
            "erbackmap",
            _erbackmap,
            "makes a background map without these sources",
            {
                "idband": 1,
                "scut": 0.0001,
                "mlmin": 6.0,
                "maxcut": 0.5,
                "fitmethod": "smooth",
                "nsplinenodes": 36,
                "degree": 2,
                "smoothflag": True,
                "smoothval": 15.0,
                "snr": 40.0,
                "cheesemask_flag": True,
                "clobber": True,
            },
            wired=("image", "expimage", "boxlist", "detmask", "bkgimage", "cheesemask", "emin", "emax"),
        ),
        Link(
            "erbox_map",
            "erbox",
            _erbox_map,
            "finds sources in boxes above that background",
            {**_BOX, "likemin": 4.0},
            wired=_WIRED,
        ),
        Link(
            "ermldet",
            "ermldet",
            _ermldet,
            "measures them by maximum likelihood",
            {
                "likemin": 5.0,
                "extlikemin": 3.0,
                "cutrad": 15.0,
                "multrad": 15.0,
                "extentmodel": "beta",
                "srcima_flag": True,
                **_ECF,
            },
            wired=(*_WIRED, "mllist", "srcimages"),
            seconds=24 * 3600.0,
        ),
        Link("catprep", "catprep", _catprep, "makes a catalogue", {}, wired=("infile", "outfile")),
    ),
    products=_products,
    parameters=(band_parameter("0.2-2.3 keV"),),
    resources=Resources(memory=3 << 30),
    calibrated=True,
)
