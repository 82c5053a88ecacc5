"""The step images through eSASS: evtool bins, expmap makes exposure maps."""

from __future__ import annotations

from functools import partial
from typing import Any

from daxa.backends.adopting import adopt_curve, adopt_image, adopt_map, adopt_picture, adopt_rates
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.esass.events import refuse_scan
from daxa.backends.parameter_schema import Parameter
from daxa.backends.protocol import Resources
from daxa.run.product import Product, parse_product
from daxa.xray.telescopes import imaging_of

__all__ = ["IMAGES"]


def _list(known: Known) -> str:
    return next((path for path in known.inputs if path.endswith("-finalevents.fits")), "")


def _named(known: Known) -> list[tuple[tuple[float, float], str]]:
    """Bands, and their names in files."""
    return [((lo, hi), f"{lo!r}_{hi!r}") for lo, hi in known.parameters["bands"]]


def _image(known: Known) -> list[CallPlan]:
    return [
        CallPlan(
            {
                "eventfiles": [_list(known)],
                "outfile": f"image_{name}.fits",
                "emin": lo,
                "emax": hi,
                "events": False,
                "image": True,
            },
            name=name,
        )
        for (lo, hi), name in _named(known)
        if _list(known)
    ]


def _expmap(known: Known) -> list[CallPlan]:
    images = {path for _, path in known.outputs("evtool", "image")}
    return [
        CallPlan(
            {
                "inputdatasets": [_list(known)],
                "gtitype": "GTI",
                "templateimage": f"image_{name}.fits",
                "mergedmaps": [f"expmap_{name}.fits"],
                "emin": [lo],
                "emax": [hi],
            },
            name=name,
        )
        for (lo, hi), name in _named(known)
        if f"image_{name}.fits" in images
    ]


def _products(known: Known) -> list[ChainProduct]:
    found: list[ChainProduct] = []
    events = _list(known)
    images, maps = ({path for _, path in known.outputs(link)} for link in ("evtool", "expmap"))
    flat = {
        one.name for one in known.finished if one.link == "expmap" and one.values.get("withvignetting", "yes") != "yes"
    }
    for at, (band, name) in enumerate(_named(known)):
        image, exposure = f"image_{name}.fits", f"expmap_{name}.fits"
        if image not in images:
            continue
        product, (lo, hi) = parse_product(events), map(repr, band)
        own = {
            kind: Product(known.task.obs_id, product.instrument, product.exposure, kind, lo, hi).name
            for kind in ("image", "expmap", "ratemap", "lightcurve")
        }
        common: dict[str, Any] = {"events": events, "mission": known.task.mission, "band": band}
        found.append(ChainProduct("", own["image"], write=partial(adopt_image, image=image, cards={}, **common)))
        if exposure in maps:
            cards = {
                "EXPMETH": ("EXPMAP", "attitude and chips, by eSASS"),
                "VIGNET": (name not in flat, "vignetting applied"),
            }
            of_map = common | {"image": image, "exposure": exposure, "cards": cards}
            found.append(ChainProduct("", own["expmap"], write=partial(adopt_map, **of_map)))
            found.append(ChainProduct("", own["ratemap"], write=partial(adopt_rates, **of_map)))
        if at == 0:
            width = known.parameters["lightcurve_bin"]
            found.append(ChainProduct("", own["lightcurve"], write=partial(adopt_curve, width=width, **common)))
            picture = Product(known.task.obs_id, product.instrument, product.exposure, "quicklook", suffix="png").name
            drawn: dict[str, Any] = {"task": known.task, "product": parse_product(own["image"]), "image": image}
            drawn |= {"exposure": exposure if exposure in maps else "", "events": events, "width": width}
            found.append(ChainProduct("", picture, write=partial(adopt_picture, **drawn)))
    return found


IMAGES = Chain(
    missions=("erass1", "erosita_calpv"),
    refuse=refuse_scan,
    step="images",
    version="2",
    links=(
        Link(
            "evtool",
            "evtool",
            _image,
            "bins an image of each band",
            {
                "rebin": 80,
                "size": ["3240", "3240"],
                "center_position": "0 0",
                "pattern": 15,
                "clobber": True,
            },
            wired=("eventfiles", "outfile", "emin", "emax", "events", "image", "telid", "gti"),
        ),
        Link(
            "expmap",
            "expmap",
            _expmap,
            "makes an exposure map of each band",
            # Without weights and maps of the detectors they are not fit for science, as users found (XGA).
            {"withvignetting": True, "withdetmaps": True, "withweights": True},
            wired=(
                "inputdatasets",
                "templateimage",
                "mergedmaps",
                "singlemaps",
                "withmergedmaps",
                "emin",
                "emax",
                "gtitype",
            ),
            seconds=12 * 3600.0,
        ),
    ),
    products=_products,
    parameters=(
        Parameter(
            "bands",
            "bands",
            tuple((band.lo, band.hi) for band in imaging_of("erass1").bands),
            "energies of the images",
            unit="keV",
        ),
        Parameter("lightcurve_bin", "quantity", 100.0, "bin of the light curve", unit="s", least=0.1, most=1e6),
    ),
    resources=Resources(memory=3 << 30),
    calibrated=True,
)
