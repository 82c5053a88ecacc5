"""XMM-Newton, step sources: the tasks of edetect_chain, called one by one.

edetect_chain itself goes on when a task that it calls has failed, and makes exposure maps anew from event lists.
The same tasks on the images and maps of the archive can be judged and resumed one by one, and all their parameters
can be set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from daxa.backends.adopting import adopt_search, band_parameter
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.parameter_schema import Parameter
from daxa.backends.sas.common import VARIABLES, check_date, cifbuild_at, cifbuild_link, place_product, product_of
from daxa.backends.sas.images import channels
from daxa.backends.sas.source_lists import Searched, draw_sources, write_map, write_sources
from daxa.errors import DataError
from daxa.run.machine import Resources
from daxa.run.product import Product

__all__ = ["SOURCES"]

Band = tuple[float, float]

_CAMERAS = ("PN", "M1", "M2")
"""In the order in which edetect_chain gives images to the tasks."""

_MOST_BANDS = 6
"""Images of one camera that are searched together (ESA, edetect_chain)."""

_PARAMETERS = (
    band_parameter("0.5-2.0 keV"),
    Parameter(
        "together",
        "choice",
        "nothing",
        'what is searched together: "nothing", all "bands" of an exposure, or all bands of all "cameras"; counts and '
        "rates are always those of the band",
        choices=("nothing", "bands", "cameras"),
    ),
)


@dataclass(frozen=True)
class _Image:
    """An image with an exposure map."""

    part: str
    band: Band
    path: str
    expmap: str

    @property
    def stem(self) -> str:
        return f"{self.part}-{self.band[0]!r}_{self.band[1]!r}"

    @property
    def background(self) -> str:
        return f"{self.stem}-bkg.fits"


@dataclass(frozen=True)
class _Search:
    """Images that are searched together; part '' stands for all cameras."""

    part: str
    images: tuple[_Image, ...]

    def file(self, what: str) -> str:
        return f"{self.part or 'EPIC'}-{what}.fits"


def _images(known: Known) -> list[_Image]:
    """All images with maps, those of pn first; without exposures that are also there as one."""
    found, merged = [], set()
    for path in known.inputs:
        words = path.removesuffix(".fits").split("-", 3)
        if len(words) != 4 or words[2] != "image" or words[0] not in _CAMERAS:
            continue
        expmap = path.replace("-image-", "-expmap-")
        if expmap in known.inputs:
            lo, _, hi = words[3].partition("_")
            found.append(_Image(f"{words[0]}-{words[1]}", (float(lo), float(hi)), path, expmap))
            if words[1] == "ALL":
                parts = str(known.facts.header(path).get("MERGED", "")).split(",")
                merged |= {f"{words[0]}-{part.strip()}" for part in parts if part.strip()}
    found = [one for one in found if one.part not in merged and one.part not in known.left_out]
    return sorted(found, key=lambda one: (_CAMERAS.index(one.part[:2]), one.part, one.band))


def _band(known: Known, images: Sequence[_Image]) -> Band | None:
    """The band whose counts and rates are listed."""
    bands = sorted({one.band for one in images})
    wanted = known.parameters["band"]
    return next((band for band in bands if not wanted or band == wanted), None)


def _searches(known: Known) -> list[_Search]:
    images = _images(known)
    parts = dict.fromkeys(one.part for one in images)
    if known.parameters["together"] == "cameras":
        return [_Search("", tuple(images))] if images else []
    by_part = [(part, [one for one in images if one.part == part]) for part in parts]
    if known.parameters["together"] == "bands":
        return [_Search(part, tuple(own)) for part, own in by_part]
    chosen = [(part, [one for one in own if one.band == _band(known, own)]) for part, own in by_part]
    return [_Search(part, tuple(own)) for part, own in chosen if own]


def _bands_of(search: _Search) -> Iterator[tuple[_Image, int]]:
    """The images with the number of their band among those of their exposure, from 1."""
    for image in search.images:
        own = [one for one in search.images if one.part == image.part]
        yield image, own.index(image) + 1


def _mask(part: str) -> str:
    return f"{part}-mask.fits"


def _cifbuild(known: Known) -> list[CallPlan]:
    return cifbuild_at(known, _images(known)[0].path, "")


def _emask(known: Known) -> list[CallPlan]:
    plans = []
    for search in _searches(known):
        first = {image.part: image for image in reversed(search.images)}
        for part, image in sorted(first.items()):
            values = {"expimageset": image.expmap, "detmaskset": _mask(part)}
            plans.append(CallPlan(values, search.part, "" if search.part else part, VARIABLES))
    return plans


def _channels(known: Known, image: _Image) -> tuple[int, int]:
    """First and last channel (eV) of an image, as it says itself: bands that meet share none."""
    header = known.facts.header(image.path)
    first, last = (header.get(name) for name in ("CHANMIN", "CHANMAX"))
    return (first, last) if isinstance(first, int) and isinstance(last, int) else channels([image.band])[image.band]


def _files(known: Known, search: _Search) -> dict[str, object]:
    """What the searches read."""
    pi = [_channels(known, one) for one in search.images]
    return {
        "imagesets": [one.path for one in search.images],
        "expimagesets": [one.expmap for one in search.images],
        "detmasksets": list(dict.fromkeys(_mask(one.part) for one in search.images)),
        "pimin": [first for first, _ in pi],
        "pimax": [last for _, last in pi],
    }


def _eboxdetect(known: Known) -> list[CallPlan]:
    more = {"usemap": False, "withexpimage": True, "withdetmask": True}
    return [
        CallPlan({**_files(known, one), **more, "boxlistset": one.file("local")}, one.part, variables=VARIABLES)
        for one in _searches(known)
    ]


def _esplinemap(known: Known) -> list[CallPlan]:
    plans = []
    for search in _searches(known):
        for image, number in _bands_of(search):
            values = {
                "boxlistset": search.file("local"),
                "imageset": image.path,
                "bkgimageset": image.background,
                "withexpimage": True,
                "expimageset": image.expmap,
                "withexpimage2": False,
                "withdetmask": True,
                "detmaskset": _mask(image.part),
                "idband": number,
            }
            plans.append(CallPlan(values, search.part, image.stem, VARIABLES))
    return plans


def _backgrounds(known: Known, search: _Search) -> list[str]:
    """The background maps of a search; none if one is missing."""
    made = {path for _, path in known.outputs("esplinemap", "background")}
    wanted = [one.background for one in search.images]
    return wanted if made.issuperset(wanted) else []


def _eboxdetect_map(known: Known) -> list[CallPlan]:
    more = {"usemap": True, "withexpimage": True, "withdetmask": True}
    plans = []
    for search in _searches(known):
        if maps := _backgrounds(known, search):
            values = {**_files(known, search), **more, "bkgimagesets": maps, "boxlistset": search.file("map")}
            plans.append(CallPlan(values, search.part, variables=VARIABLES))
    return plans


def _boxes(known: Known, search: _Search) -> str:
    """The list of boxes to start from, if there are any; to fit none of them would be an error."""
    path = known.output("eboxdetect_map", "list", search.part)
    return path if path and int(known.facts.header(path).get("NAXIS2", 0)) else ""


def _emldetect(known: Known) -> list[CallPlan]:
    return [
        CallPlan(
            {
                **_files(known, one),
                "withexpimage": True,
                "withdetmask": True,
                "bkgimagesets": _backgrounds(known, one),
                "boxlistset": boxes,
                "mllistset": one.file("eml"),
            },
            one.part,
            variables=VARIABLES,
        )
        for one in _searches(known)
        if (boxes := _boxes(known, one))
    ]


def _esensmap(known: Known) -> list[CallPlan]:
    plans = []
    for search in _searches(known):
        for image in search.images:
            if image.background not in _backgrounds(known, search) or image.band != _band(known, search.images):
                continue
            values = {
                "expimagesets": [image.expmap],
                "bkgimagesets": [image.background],
                "detmasksets": [_mask(image.part)],
                "sensimageset": f"{image.stem}-sens.fits",
            }
            plans.append(CallPlan(values, search.part, image.stem, VARIABLES))
    return plans


def _searched(known: Known, search: _Search) -> Iterator[Searched]:
    """The images of the band, of each camera, with the list that the search has given."""
    sources = known.output("emldetect", "sources", search.part)
    values = next((one.values for one in known.finished if one.link == "emldetect"), {})
    least = float(values.get("mlmin", _LIKELIHOOD))
    for image, number in _bands_of(search):
        if image.band == _band(known, search.images):
            product = Product(known.task.obs_id, *product_of(image.part), "image", *map(repr, image.band))
            yield Searched(product, image.path, image.expmap, number, sources, least, len(search.images) == 1)


def _products(known: Known) -> list[ChainProduct]:
    found: list[ChainProduct] = []
    searches: list[tuple[dict[str, object], str]] = []
    for search in _searches(known):
        done = bool(known.output("eboxdetect_map", "list", search.part)) and "emldetect" in known.links
        for one in _searched(known, search):
            product = one.product
            entry: dict[str, object] = {"instrument": product.instrument, "exposure": product.exposure}
            searches.append(({**entry, "band": f"{product.lo}-{product.hi} keV"}, one.plain if done else ""))
            if done:
                found += _of_image(known, one)
        if path := known.output("emldetect", "sources", search.part):
            found.append(ChainProduct(path, f"{search.part or 'EPIC'}-emldetect.fits"))
    name = Product(known.task.obs_id, "ALL", "ALL", "search", suffix="json").name
    return [*found, ChainProduct("", name, write=partial(adopt_search, searches=searches))]


def _of_image(known: Known, one: Searched) -> Iterator[ChainProduct]:
    product = one.product
    for suffix in ("fits", "parquet", "reg"):
        yield ChainProduct("", product.name_beside("sourcelist", suffix), write=partial(write_sources, one))
    stem = f"{product.instrument}-{product.exposure}-{product.lo}_{product.hi}"
    for kind, link, unit in (
        ("background", "esplinemap", ("count", "expected counts without sources")),
        ("sensitivity", "esensmap", ("count/s", "least rate of a point source that is found")),
    ):
        for call in known.finished:
            if call.link == link and call.name == stem:
                write = partial(write_map, one, call.outputs[kind][0], unit)
                yield ChainProduct("", product.name_beside(kind), write=write)
    yield ChainProduct("", product.name_beside("quicklook", "png"), write=partial(draw_sources, one, known.task))


def _refuse(known: Known) -> None:
    check_date(known)
    whose, images = f"{known.task.mission} {known.task.obs_id}", _images(known)
    if not images:
        raise DataError(
            "no-map", f"{whose} has no image of EPIC with an exposure map", remedy="run the step images again"
        )
    if _band(known, images) is None:
        there = ", ".join(f'"{lo}-{hi} keV"' for lo, hi in sorted({one.band for one in images}))
        raise DataError("band", f"{whose} has no images of that band", remedy=f"choose band in [sources] from {there}")
    together = known.parameters["together"]
    cameras = [part.partition("-")[0] for part in dict.fromkeys(one.part for one in images)]
    if together == "cameras" and len(set(cameras)) < len(cameras):
        raise DataError(
            "several-exposures",
            f"{whose} has several exposures of a camera, which SAS does not search together with others",
            remedy='write together = "bands" in [sources], or let the step clean merge them',
        )
    if together != "nothing" and len({one.band for one in images}) > _MOST_BANDS:
        raise DataError(
            "many-bands",
            f"{whose} has more than {_MOST_BANDS} bands, which SAS does not search together",
            remedy='write together = "nothing" in [sources], or make images of fewer bands',
        )


_LIKELIHOOD = 10.0
"""As in ESA's thread on source detection: 5 in 100,000 is the chance that noise fits as well."""

_BOXES = {"likemin": 8.0, "boxsize": 5}
"""Of both searches in boxes, with a local background and with its map."""

_INPUTS = ("imagesets", "expimagesets", "withexpimage", "detmasksets", "withdetmask", "bkgimagesets", "pimin", "pimax")

SOURCES = Chain(
    missions=("xmm",),
    step="sources",
    version="2",
    links=(
        cifbuild_link(_cifbuild),
        Link("emask", "emask", _emask, "mask of what was exposed", {}, ("expimageset", "detmaskset")),
        Link(
            "eboxdetect",
            "eboxdetect",
            _eboxdetect,
            "sources in boxes, with the background around each",
            _BOXES,
            (*_INPUTS, "usemap", "boxlistset"),
        ),
        Link(
            "esplinemap",
            "esplinemap",
            _esplinemap,
            "background map without these sources",
            {"scut": 0.01, "mlmin": 1.0, "nsplinenodes": 16, "excesssigma": 4.0, "nfitrun": 3},
            ("boxlistset", "imageset", "bkgimageset", "expimageset", "detmaskset", "idband", "withexpimage"),
        ),
        Link(
            "eboxdetect_map",
            "eboxdetect",
            _eboxdetect_map,
            "sources in boxes above that background",
            _BOXES,
            (*_INPUTS, "usemap", "boxlistset"),
        ),
        Link(
            "emldetect",
            "emldetect",
            _emldetect,
            "measures them by maximum likelihood",
            {
                "mlmin": _LIKELIHOOD,
                "determineerrors": True,
                "fitextent": True,
                "extentmodel": "beta",
                "dmlextmin": 10.0,
            },
            (*_INPUTS, "boxlistset", "mllistset", "mergedlistset"),
            seconds=12 * 3600.0,
        ),
        Link(
            "esensmap",
            "esensmap",
            _esensmap,
            "map of the faintest sources that would be found",
            {"mlmin": _LIKELIHOOD},
            ("expimagesets", "bkgimagesets", "detmasksets", "sensimageset"),
        ),
    ),
    products=_products,
    parameters=_PARAMETERS,
    place=place_product,
    resources=Resources(memory=3 << 30, time_limit=24 * 3600.0),
    calibrated=True,
    refuse=_refuse,
)
