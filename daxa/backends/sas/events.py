"""XMM-Newton, step events: from raw files to a calibrated list of every exposure of the cameras and gratings.

The order of calls, and the values that are given, are those of ESA's threads and of the ESAS cookbook: cifbuild with
a fixed date, odfingest, epchain first for out-of-time events and again for the events themselves, emchain exposure by
exposure.  epproc and emproc are the alternative.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from daxa.backends.chains import WORK, CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.parameter_schema import Parameter
from daxa.backends.sas.common import INDEX, VARIABLES, analysis_date, check_date, cifbuild_link, product_of
from daxa.backends.sas.epic_exposures import RawExposure, chip_text, raw_exposures
from daxa.backends.sas.optical_monitor import INSTRUMENT, MODES, monitor_calls, monitor_products
from daxa.errors import DataError, NotPossible
from daxa.run.machine import Resources
from daxa.run.product import Product

__all__ = ["EVENTS"]

_ODF = "odf"
_ALL_CHIPS = tuple(range(1, 13))
_BLIND = ("CLOSED", "CALCLOSED", "CALTHIN1", "CALTHIN2", "CALMEDIUM", "CALTHICK")
_PROC = re.compile(r"_E(MOS1|MOS2|PN)_([SUX]\d{3})_")
_GRATINGS = ("R1", "R2")
_CAMERA = {"MOS1": "M1", "MOS2": "M2", "PN": "PN"}

_PARAMETERS = (
    Parameter("pipeline", "choice", "chain", "epchain and emchain, or epproc and emproc", choices=("chain", "proc")),
    Parameter("unscheduled", "flag", True, "whether to include exposures that were not planned"),
    Parameter(
        "om",
        "words",
        (),
        "what is processed of the optical monitor, if OM is a chosen instrument",
        choices=tuple(MODES),
        example='["image"]',
    ),
)


def _place(path: str) -> str:
    """All raw files go into one directory."""
    return f"{_ODF}/{path.rpartition('/')[2]}"


def _exposures(known: Known, *instruments: str) -> list[RawExposure]:
    chosen = [name for name in known.instruments if name in instruments]
    return raw_exposures(known.inputs, chosen, unscheduled=known.parameters["unscheduled"])


def _cifbuild(known: Known) -> list[CallPlan]:
    # Without a date of observation it is taken from the raw files.
    values = {"calindexset": INDEX, "analysisdate": analysis_date(known)}
    return [CallPlan(values, variables={"SAS_ODF": f"{WORK}/{_ODF}"})]


def _odfingest(known: Known) -> list[CallPlan]:
    values = {"odfdir": _ODF, "outdir": _ODF, "withodfdir": True}
    return [CallPlan(values, variables={**VARIABLES, "SAS_ODF": f"{WORK}/{_ODF}"})]


def _variables(known: Known) -> dict[str, str]:
    summary = known.output("odfingest", "summary") or _ODF
    return {**VARIABLES, "SAS_ODF": f"{WORK}/{summary}"}


def _pn(known: Known, one: RawExposure) -> dict[str, Any]:
    values: dict[str, Any] = {"odf": _ODF, "odfaccess": "odf", "exposure": one.number, "schedule": one.schedule}
    if one.chips != _ALL_CHIPS:
        values["ccds"] = chip_text(one.chips)
    if known.release.startswith("21.0"):
        values["runradmonfix"] = False  # That release lacks the task that this would run.
    return values


def _epchain_oot(known: Known) -> list[CallPlan]:
    if known.parameters["pipeline"] != "chain":
        return []
    more = {"withoutoftime": True, "keepintermediate": "raw"}
    return [CallPlan(_pn(known, one) | more, one.part, variables=_variables(known)) for one in _exposures(known, "PN")]


def _epchain(known: Known) -> list[CallPlan]:
    if known.parameters["pipeline"] != "chain":
        return []
    first = {part for part, _ in known.outputs("epchain_oot", "outoftime")}
    # The results of the first call are reused.
    again = dict.fromkeys(("runatthkgen", "runepframes", "runbadpixfind", "runbadpix"), False)
    return [
        CallPlan(_pn(known, one) | (again if one.part in first else {}), one.part, variables=_variables(known))
        for one in _exposures(known, "PN")
    ]


def _emchain(known: Known) -> list[CallPlan]:
    if known.parameters["pipeline"] != "chain":
        return []
    return [
        CallPlan(
            {"odf": _ODF, "instruments": one.instrument, "exposures": one.name}, one.part, variables=_variables(known)
        )
        for one in _exposures(known, "M1", "M2")
    ]


def _by_exposure(known: Known, *instruments: str) -> list[CallPlan]:
    """One call for each exposure, of the tasks that take its identifier."""
    return [
        CallPlan(
            {"withinstexpids": True, "instexpids": f"{one.instrument}{one.name}"},
            one.part,
            variables=_variables(known),
        )
        for one in _exposures(known, *instruments)
    ]


def _proc(known: Known, *instruments: str) -> list[CallPlan]:
    return _by_exposure(known, *instruments) if known.parameters["pipeline"] == "proc" else []


def _grating_products(known: Known) -> list[ChainProduct]:
    """Lists of the last stage that has one, and spectra under SAS's own names."""
    products = []
    for part in dict.fromkeys(part for part, _ in known.outputs("rgsproc")):
        if path := known.output("rgsproc", "events", part) or known.output("rgsproc", "merged", part):
            products.append(ChainProduct(path, Product(known.task.obs_id, *product_of(part), "rgsevents").name))
        spectra = known.outputs("rgsproc", "spectra", part)
        products += [ChainProduct(path, f"{path.removesuffix('.FIT')}.fits") for _, path in spectra]
    return products


def _products(known: Known) -> list[ChainProduct]:
    products = _grating_products(known)
    for kind, output, links in (
        ("events", "events", ("epchain", "emchain", "epproc", "emproc")),
        ("ootevents", "outoftime", ("epchain_oot",)),
    ):
        for link in links:
            for part, path in known.outputs(link, output):
                if _is_imaging(part, path) and _sees(known, path):
                    products.append(ChainProduct(path, Product(known.task.obs_id, *product_of(part), kind).name))
    attitudes = [path for link in known.links for _, path in known.outputs(link, "attitude")]
    if products and attitudes:
        # Named as in the archive's own products; all chains make the same file.
        products.append(ChainProduct(min(attitudes), f"P{known.task.obs_id}OBX000ATTTSR0000.fits"))
    return [*products, *monitor_products(known)]


def _monitor(mode: str, known: Known) -> list[CallPlan]:
    return monitor_calls(known, mode, _variables(known))


def _sees(known: Known, path: str) -> bool:
    """Whether the sky reached the detector: chains also make lists of closed filters."""
    return str(known.facts.header(path, "EVENTS").get("FILTER", "")).upper() not in _BLIND


def _is_imaging(part: str, path: str) -> bool:
    """Whether a list has images and belongs to this exposure: some chains also write others."""
    found = _PROC.search(path)
    if found is None:
        return "TIEVLI" not in path
    return f"{_CAMERA[found[1]]}-{found[2]}" == part and "Imaging" in path


def _refuse(known: Known) -> None:
    check_date(known)
    if known.parameters["om"] and INSTRUMENT not in known.instruments:
        raise NotPossible(
            "optical-monitor",
            f"{known.task.mission} {known.task.obs_id}: om asks for the optical monitor, which is not among the chosen "
            f"instruments {', '.join(known.instruments)}",
            remedy="choose OM as well (`daxa select`), so that its raw files are fetched, or set om = []",
        )
    of_monitor = any(monitor_calls(known, mode, {}) for mode in MODES)
    if not of_monitor and not _exposures(known, "PN", "M1", "M2", *_GRATINGS):
        raise DataError(
            "no-exposure",
            f"{known.task.mission} {known.task.obs_id} has no raw data of an imaging mode, or of the gratings, "
            f"of {', '.join(known.instruments)}",
            remedy="leave the observation out, or choose other instruments",
        )


_ODF_WIRED = ("odf", "odfaccess", "exposure", "schedule", "ccds")

EVENTS = Chain(
    missions=("xmm",),
    step="events",
    version="1",
    links=(
        cifbuild_link(_cifbuild),
        Link("odfingest", "odfingest", _odfingest, "summary of the raw files", {}, ("odfdir", "outdir", "withodfdir")),
        Link(
            "epchain_oot",
            "epchain",
            _epchain_oot,
            "pn: out-of-time events",
            {"runbackground": False},
            (*_ODF_WIRED, "withoutoftime", "keepintermediate", "outset", "usecanonicalnames"),
        ),
        Link(
            "epchain",
            "epchain",
            _epchain,
            "pn: events",
            {"runbackground": False},
            (*_ODF_WIRED, "withoutoftime", "outset", "usecanonicalnames"),
        ),
        Link(
            "emchain",
            "emchain",
            _emchain,
            "MOS: events",
            {"addtaglenoise": False, "makeflaregti": False},
            ("odf", "instruments", "exposures"),
        ),
        Link(
            "epproc",
            "epproc",
            lambda known: _proc(known, "PN"),
            "pn: events",
            {},
            ("withinstexpids", "instexpids"),
        ),
        Link(
            "emproc",
            "emproc",
            lambda known: _proc(known, "M1", "M2"),
            "MOS: events",
            {},
            ("withinstexpids", "instexpids"),
        ),
        Link(
            "rgsproc",
            "rgsproc",
            lambda known: _by_exposure(known, *_GRATINGS),
            "RGS: cleaned lists, and spectra",
            {"finalstage": "3:filter"},
            ("withinstexpids", "instexpids", "withprefix", "prefix", "entrystage"),
        ),
        *(
            Link(
                link,
                link,
                partial(_monitor, mode),
                f"optical monitor: {mode}",
                {},
                ("inpdirectory", "outdirectory"),
                seconds=12 * 3600.0,
            )
            for mode, link in MODES.items()
        ),
    ),
    products=_products,
    parameters=_PARAMETERS,
    place=_place,
    resources=Resources(memory=2 << 30, time_limit=24 * 3600.0),
    calibrated=True,
    randomised=("events", "ootevents"),
    refuse=_refuse,
)
