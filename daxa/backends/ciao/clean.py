"""The step clean through CIAO: times without flares by dmextract and deflare, then dmcopy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from daxa.backends.adopting import adopt_events, adopt_good_times, adopt_measures
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.ciao.events import camera_in, part_of
from daxa.backends.parameter_schema import Parameter
from daxa.backends.protocol import Resources
from daxa.run.product import Product, parse_product

__all__ = ["CLEAN", "accompanying"]


def accompanying(known: Known) -> list[ChainProduct]:
    """The files that accompany the lists, under their own names."""
    return [
        ChainProduct(path, path) for path in known.inputs if path.endswith(".fits") and not path.startswith("obsid")
    ]


def _lists(known: Known) -> Iterator[tuple[str, Product, str]]:
    """Camera, product and path of each list."""
    for path in known.inputs:
        if path.startswith("obsid") and (product := parse_product(path)).kind == "events":
            yield camera_in(known, path), product, path


def _check_grades(text: str) -> str:
    """Grades and ranges of them: they stand in a filter, which could name files and columns as well."""
    if not re.fullmatch(r"\d{1,3}(?::\d{1,3})?(?:\s*,\s*\d{1,3}(?::\d{1,3})?)*", text, re.ASCII):
        raise ValueError('write numbers and ranges such as "0,2:4,6"')
    return text


def _energies(band: tuple[float, float] | None, camera: str) -> str:
    """A filter in eV; HRC has no energies."""
    return f"energy={1000 * band[0]:.10g}:{1000 * band[1]:.10g}" if band and camera != "HRC" else ""


def _dmextract(known: Known) -> list[CallPlan]:
    width, band = known.parameters["flare_bin"], known.parameters["flare_band"]
    plans = []
    for camera, product, path in _lists(known):
        blocks = [_energies(band, camera), f"bin time=::{width:.10g}"]
        infile = path + "".join(f"[{one}]" for one in blocks if one)
        values = {"infile": infile, "outfile": f"{product.exposure}_lc.fits", "opt": "ltc1"}
        plans.append(CallPlan(values, part_of(product, camera)))
    return plans


def _deflare(known: Known) -> list[CallPlan]:
    return [
        CallPlan({"infile": path, "outfile": path.replace("_lc", "_gti"), "plot": False}, part)
        for part, path in known.outputs("dmextract", "extracted")
    ]


def _screen(known: Known) -> list[CallPlan]:
    """Energies, grades and status; times are cut in a separate call, so that the data model keeps both apart."""
    plans = []
    for camera, product, path in _lists(known):
        grades = known.parameters["grades"].replace(" ", "")
        # Level 2 lists of HRC have passed their own filter; its other status bits do not forbid an event.
        others = [f"grade={grades}", "status=0"] if camera == "ACIS" else []
        rules = [one for one in (_energies(known.parameters["energy"], camera), *others) if one]
        infile = f"{path}[EVENTS]" + (f"[{','.join(rules)}]" if rules else "")
        values = {"infile": infile, "outfile": f"{product.exposure}_screened.fits"}
        plans.append(CallPlan(values, part_of(product, camera)))
    return plans


def _cut(known: Known) -> list[CallPlan]:
    return [
        CallPlan({"infile": f"{path}[EVENTS][@{gti}]", "outfile": path.replace("_screened", "_final")}, part)
        for part, path in known.outputs("screen", "copy")
        if (gti := known.output("deflare", "gti", part))
    ]


def _products(known: Known) -> list[ChainProduct]:
    obs_id = known.task.obs_id
    found, measured = accompanying(known), []
    for camera, product, path in _lists(known):
        if (part := part_of(product, camera)) in known.left_out:
            continue
        before = known.output("screen", "copy", part) or path
        events = known.output("cut", "copy", part) or before
        energy = known.parameters["energy"] if camera != "HRC" else None
        lo, hi = map(repr, energy) if energy else ("", "")
        common: dict[str, Any] = {"events": events, "obs_id": obs_id}
        own = Product(obs_id, product.instrument, product.exposure, "finalevents", lo, hi)
        name = Product(obs_id, product.instrument, product.exposure, "gti").name
        found.append(ChainProduct("", own.name, write=partial(adopt_events, before=before, band=energy, **common)))
        found.append(ChainProduct("", name, write=partial(adopt_good_times, **common)))
        measured.append((product, events, before))
    name = Product(obs_id, "ALL", "ALL", "measures", suffix="json").name
    return [*found, ChainProduct("", name, write=partial(adopt_measures, lists=measured, obs_id=obs_id))]


CLEAN = Chain(
    missions=("chandra",),
    step="clean",
    version="1",
    links=(
        Link(
            "dmextract",
            "dmextract",
            _dmextract,
            "bins the light curve for the flare search",
            {"clobber": True},
            wired=("infile", "outfile", "opt"),
        ),
        Link(
            "deflare",
            "deflare",
            _deflare,
            "finds flares and writes the times without them",
            {"method": "sigma", "nsigma": 3, "minlength": 3},
            wired=("infile", "outfile", "plot", "save"),
        ),
        Link(
            "screen",
            "dmcopy",
            _screen,
            "keeps events of the chosen energies, grades and status",
            {"clobber": True},
            wired=("infile", "outfile"),
        ),
        Link("cut", "dmcopy", _cut, "keeps times without flares", {"clobber": True}, wired=("infile", "outfile")),
    ),
    products=_products,
    parameters=(
        Parameter("flare_band", "band", (0.5, 7.0), "energies of the light curve of flares (ACIS)", unit="keV"),
        Parameter("flare_bin", "quantity", 200.0, "bin of that light curve", unit="s", least=1.0, most=1e5),
        Parameter(
            "grades", "text", "0,2,3,4,6", "grades that are kept (ACIS)", example='"0,2,3,4,6"', refine=_check_grades
        ),
        Parameter(
            "energy",
            "band",
            None,
            "energies that the cleaned list keeps",
            unit="keV",
            choices=("all",),
            example='"0.5-7.0 keV"',
            shown="comment",
        ),
    ),
    resources=Resources(memory=1 << 30),
    calibrated=True,
)
