"""The step images through CIAO: fluximage, in counts, seconds and counts per second."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from daxa.backends.adopting import Band, adopt_curve, adopt_image, adopt_map, adopt_picture, adopt_rates
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.ciao.events import camera_in, part_of
from daxa.backends.parameter_schema import Parameter
from daxa.backends.protocol import Resources
from daxa.errors import ConfigError
from daxa.run.product import Product, parse_product

__all__ = ["IMAGES"]

_EFFECTIVE = {(0.5, 7.0): 2.3, (0.5, 1.2): 0.92, (1.2, 2.0): 1.56, (2.0, 7.0): 3.8, (0.2, 0.5): 0.4, (0.5, 2.0): 1.25}
"""Band to its representative energy, keV: of the Chandra source catalogue; of CIAO's threads for 0.5 to 2 keV."""

_FILES = {
    "asolfile": r"_asol1\.fits",
    "badpixfile": r"_bpix1\.fits",
    "maskfile": r"_msk1\.fits",
    "dtffile": r"_dtf1\.fits",
}


def _lists(known: Known) -> Iterator[tuple[str, Product, str]]:
    for path in known.inputs:
        if path.startswith("obsid") and (product := parse_product(path)).kind == "finalevents":
            yield camera_in(known, path), product, path


def _bands(known: Known, camera: str) -> list[tuple[Band, float]]:
    """Bands, each with its representative energy; the HRC has one image of all energies."""
    if camera == "HRC":
        return [(None, 0.0)]
    bands, energies = known.parameters["bands"], known.parameters["energies"]
    if energies and len(energies) != len(bands):
        raise ConfigError(
            "energies",
            f"[images] energies has {len(energies)} values for {len(bands)} bands",
            remedy="give one energy for each band, or none at all",
        )
    given = energies or [_EFFECTIVE.get(band, round((band[0] * band[1]) ** 0.5, 3)) for band in bands]
    return list(zip(bands, given, strict=True))


def _fluximage(known: Known) -> list[CallPlan]:
    plans = []
    for camera, product, path in _lists(known):
        part = part_of(product, camera)
        bands = [f"{band[0]:g}:{band[1]:g}:{energy:g}" for band, energy in _bands(known, camera) if band]
        present = {name: [one for one in known.inputs if re.search(end, one)] for name, end in _FILES.items()}
        # The tool looks for missing files itself, and says so.
        files = {name: ",".join(paths) for name, paths in present.items() if paths}
        size = known.parameters["hrc_binsize" if camera == "HRC" else "acis_binsize"]
        values = {"infile": f"{path}[EVENTS]", "outroot": f"im_{part}", "binsize": size, **files}
        plans.append(
            CallPlan({**values, "bands": ",".join(bands) or "default", "units": "time", "parallel": False}, part)
        )
    return plans


def _products(known: Known) -> list[ChainProduct]:
    found: list[ChainProduct] = []
    for camera, product, path in _lists(known):
        made = {name: known.outputs("fluximage", name, part_of(product, camera)) for name in ("image", "expmap")}
        if not made["image"]:
            continue
        found_images = []
        for band, _ in _bands(known, camera):
            label = f"{band[0]:g}-{band[1]:g}" if band else "wide"
            image, exposure = (
                next((file for _, file in made[name] if f"_{label}_" in file), "") for name in ("image", "expmap")
            )
            lo, hi = map(repr, band) if band else ("", "")
            own = Product(known.task.obs_id, product.instrument, product.exposure, "image", lo, hi)
            common: dict[str, Any] = {"image": image, "events": path, "mission": "chandra", "band": band, "cards": {}}
            how = {"EXPMETH": ("FLUXIMAGE", "aspect, chips, mask and bad pixels, by CIAO")}
            found.append(ChainProduct("", own.name, write=partial(adopt_image, **common)))
            found_images.append((own, image, exposure, band))
            common |= {"exposure": exposure, "cards": how}
            for kind, write in (("expmap", adopt_map), ("ratemap", adopt_rates)):
                name = Product(known.task.obs_id, product.instrument, product.exposure, kind, lo, hi).name
                found.append(ChainProduct("", name, write=partial(write, **common)))
        found += _first(known, product, path, found_images[0])
    return found


def _first(known: Known, product: Product, events: str, made: tuple[Product, str, str, Band]) -> list[ChainProduct]:
    """Light curve and picture of the first band."""
    own, image, exposure, band = made
    width = known.parameters["lightcurve_bin"]
    curve = Product(known.task.obs_id, product.instrument, product.exposure, "lightcurve", own.lo, own.hi).name
    picture = Product(known.task.obs_id, product.instrument, product.exposure, "quicklook", suffix="png").name
    common: dict[str, Any] = {"events": events, "width": width}
    drawn = common | {"task": known.task, "product": own, "image": image, "exposure": exposure}
    return [
        ChainProduct("", curve, write=partial(adopt_curve, mission="chandra", band=band, **common)),
        ChainProduct("", picture, write=partial(adopt_picture, **drawn)),
    ]


IMAGES = Chain(
    missions=("chandra",),
    step="images",
    version="1",
    links=(
        Link(
            "fluximage",
            "fluximage",
            _fluximage,
            "makes counts images, exposure maps and rate images in bands",
            {"background": "none", "cleanup": True, "clobber": True},
            wired=(
                *("infile", "outroot", "bands", "binsize", "xygrid", "units", "tmpdir", "parallel", "nproc"),
                *_FILES,
            ),
            seconds=12 * 3600.0,
        ),
    ),
    products=_products,
    parameters=(
        Parameter("bands", "bands", ((0.5, 2.0), (2.0, 7.0)), "energies of the images (ACIS)", unit="keV"),
        Parameter(
            "energies",
            "numbers",
            None,
            "energy of the exposure map of each band, keV; by default the Chandra source catalogue's",
            least=0.1,
            most=10.0,
            example="[1.25, 3.8]",
            shown="comment",
        ),
        Parameter(
            "acis_binsize", "number", 4.0, "sky pixels of 0.492 arcsec to the side of a pixel", least=1.0, most=512
        ),
        Parameter(
            "hrc_binsize", "number", 16.0, "sky pixels of 0.1318 arcsec to the side of a pixel", least=1.0, most=512
        ),
        Parameter("lightcurve_bin", "quantity", 100.0, "bin of the light curve", unit="s", least=0.1, most=1e6),
    ),
    resources=Resources(memory=3 << 30),
    calibrated=True,
)
