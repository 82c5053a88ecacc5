"""XMM-Newton, step clean: flares, screened events, and one list of the exposures of a camera."""

from __future__ import annotations

import re
from functools import partial
from itertools import groupby
from typing import Any

from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.parameter_schema import Parameter
from daxa.backends.sas.common import has, part_of, place_product, product_of
from daxa.backends.sas.epic_measures import Cleaned, write_measures
from daxa.errors import DataError
from daxa.run.machine import Resources
from daxa.run.product import Product

__all__ = ["CLEAN", "bad_chips"]

_OF = {"PN": "pn", "M1": "mos", "M2": "mos"}
_STATE = re.compile(r"CCD:\s*(\d+)\s+Hard.*?Status:\s*([GIBOU])")
_SAME = ("INSTRUME", "FILTER", "SUBMODE", "DATAMODE")
"""Cards that lists must share to be merged: merge itself only warns."""

_SCREENS = {
    "pn": "#XMMEA_EP && (PATTERN <= 4) && (FLAG .eq. 0)",
    "mos": "#XMMEA_EM && (PATTERN <= 12) && (FLAG .eq. 0)",
}
_CURVES = {
    "pn": "#XMMEA_EP && (PATTERN == 0) && (PI in [10000:12000])",
    "mos": "#XMMEA_EM && (PATTERN == 0) && (PI > 10000)",
}
_QUIET = {"pn": "RATE <= 0.4", "mos": "RATE <= 0.35"}
_SCALES = {"pn": 15.0, "mos": 6.0}
"""Width of the range in which espfilt fits the histogram, as the cookbook of ESAS gives it."""

_RATIO = {"elow": 8000, "ehigh": 12_000}
"""Energies (eV) that the cookbook of ESAS prescribes for the method ``ratio``."""

_KINDS = {"evselect": "finalevents", "evselect_oot": "finalootevents"}
_MERGED = {"evselect": "ALL", "evselect_oot": "OOT"}
"""Filtering link to the kind of its products, and to the name of its merged lists."""

_PARAMETERS = (
    Parameter(
        "flares",
        "choice",
        "espfilt",
        "flare filter: espfilt, a threshold on the rate of hard events, or none",
        choices=("espfilt", "threshold", "none"),
    ),
    Parameter("energy", "band", None, "energy range of the cleaned lists", unit="keV", choices=("all",)),
    Parameter("pn_expression", "text", _SCREENS["pn"], "events of pn that are kept"),
    Parameter("mos_expression", "text", _SCREENS["mos"], "events of MOS that are kept"),
    Parameter(
        "anomalous",
        "choice",
        "keep",
        '"drop" leaves out chips of MOS with anomalous background below 1 keV, which emanom finds',
        choices=("keep", "drop"),
    ),
    Parameter("merge", "flag", True, "whether exposures of a camera with the same set-up are also merged"),
)


def bad_chips(text: str) -> tuple[int, ...]:
    r"""The chips that emanom reports to be in a bad state.

    Examples
    --------
    >>> bad_chips("emanom:- CCD: 2 Hard: 1.1 Status: G\nemanom:- CCD: 5 Hard: 0.1 Status: B")
    (5,)
    """
    return tuple(int(chip) for chip, state in _STATE.findall(text) if state == "B")


def _lists(known: Known, kind: str = "events") -> list[tuple[str, str]]:
    """Part and path of the lists from the previous step, without exposures that are left out."""
    found = [(part_of(path), path) for path in known.inputs if path.endswith(f"-{kind}.fits")]
    return [(part, path) for part, path in found if part.partition("-")[0] in _OF and part not in known.left_out]


def _camera(part: str) -> str:
    return _OF[part.partition("-")[0]]


def _emanom(known: Known) -> list[CallPlan]:
    if known.parameters["anomalous"] != "drop":
        return []
    return [CallPlan({"eventfile": path}, part) for part, path in _lists(known) if _camera(part) == "mos"]


def _espfilt(known: Known) -> list[CallPlan]:
    if known.parameters["flares"] != "espfilt":
        return []
    out_of_time = dict(_lists(known, "ootevents"))
    own = (known.parameters["sas"] or {}).get("espfilt", {})
    plans = []
    for part, path in _lists(known):
        newer = "." in known.release and int(known.release.partition(".")[0]) >= 20
        values: dict[str, Any] = {"eventfile" if newer else "eventset": path, "rangescale": _SCALES[_camera(part)]}
        if newer and own.get("method") == "ratio":
            values |= _RATIO
        if newer and part in out_of_time:
            values |= {"withoot": True, "ootfile": out_of_time[part]}
        plans.append(CallPlan(values, part))
    return plans


def _curve(known: Known) -> list[CallPlan]:
    if known.parameters["flares"] != "threshold":
        return []
    return [
        CallPlan({"table": path, "rateset": f"{part}-rate.fits", "expression": _CURVES[_camera(part)]}, part)
        for part, path in _lists(known)
    ]


def _tabgtigen(known: Known) -> list[CallPlan]:
    return [
        CallPlan({"table": path, "gtiset": f"{part}-gti.fits", "expression": _QUIET[_camera(part)]}, part)
        for part, path in known.outputs("curve", "lightcurve")
    ]


def _gti(known: Known, part: str) -> str:
    return known.output("espfilt", "gti", part) or known.output("tabgtigen", "gti", part)


def _expression(known: Known, part: str) -> str:
    own = known.parameters[f"{_camera(part)}_expression"]
    terms = [f"({own})" if own else ""]  # It may hold alternatives.
    if band := known.parameters["energy"]:
        first, last = (round(1000 * edge) for edge in band)
        terms.append(f"(PI in [{first}:{last}])")
    terms.append(_without(_bad(known, part)))
    if gti := _gti(known, part):
        terms.append(f"GTI({gti},TIME)")
    return " && ".join(term for term in terms if term)


def _bad(known: Known, part: str) -> tuple[int, ...]:
    states = known.output("emanom", "states", part)
    return bad_chips(known.facts.text(states)) if states else ()


def _without(bad: tuple[int, ...]) -> str:
    """Keep the other chips of MOS, in a form that the data subspace of a list can hold."""
    if not bad:
        return ""
    return f"({' || '.join(f'(CCDNR == {chip})' for chip in range(1, 8) if chip not in bad)})"


def _filter(known: Known, kind: str, stem: str) -> list[CallPlan]:
    plans = []
    for part, path in _lists(known, kind):
        values = {"table": path, "filteredset": f"{part}-{stem}.fits", "expression": _expression(known, part)}
        plans.append(CallPlan(values, part))
    return plans


def _merge(known: Known) -> list[CallPlan]:
    """Pairwise, the earlier list first; no output is an input."""
    if not known.parameters["merge"]:
        return []
    plans = []
    for camera, parts in _groups(known).items():
        for link, stem in _MERGED.items():
            lists = [known.output(link, "filtered", part) for part in parts]
            if not all(lists):
                continue
            first = lists[0]
            for number, path in enumerate(lists[1:], 1):
                merged = f"{camera}-{stem}{number}.fits"
                plans.append(CallPlan({"set1": first, "set2": path, "outset": merged}, name=f"{camera}-{stem}{number}"))
                first = merged
    return plans


def _groups(known: Known) -> dict[str, list[str]]:
    """Camera to the largest group of exposures with the same set-up, in order of time; two or more."""
    cleaned = known.outputs("evselect", "filtered")
    found = {}
    for camera, lists in groupby(sorted(cleaned), key=lambda one: one[0].partition("-")[0]):
        alike: dict[tuple[object, ...], list[tuple[float, str, str]]] = {}
        for part, path in lists:
            cards = known.facts.header(path, "EVENTS")
            key = tuple(cards.get(name) for name in _SAME)
            start = cards.get("TSTART", 0.0)
            alike.setdefault(key, []).append((float(start) if isinstance(start, int | float) else 0.0, part, path))
        most = max(alike.values(), key=len)
        if len(most) > 1:
            found[camera] = [part for _, part, _ in sorted(most)]
    return found


def _products(known: Known) -> list[ChainProduct]:
    products: list[ChainProduct] = []
    before = dict(_lists(known))
    obs_id, energy = known.task.obs_id, known.parameters["energy"]
    edges = tuple(map(repr, energy)) if energy else ("", "")
    used = {"espfilt": "ESPFILT", "threshold": "THRESHOLD", "none": "NONE"}[known.parameters["flares"]]
    for link, kind in _KINDS.items():
        for part, path in known.outputs(link, "filtered"):
            instrument, exposure = product_of(part)
            method = used if _gti(known, part) else "NONE"
            products.append(
                ChainProduct(
                    path, Product(obs_id, instrument, exposure, kind, *edges).name, _cards(known, part, method)
                )
            )
    for part in before:
        instrument, exposure = product_of(part)
        if gti := _gti(known, part):
            products.append(ChainProduct(gti, Product(obs_id, instrument, exposure, "gti").name))
        if histogram := known.output("espfilt", "histogram", part):
            products.append(ChainProduct(histogram, f"{part}-flares.qdp"))
    merged = {call.values["outset"] for call in known.finished if call.link == "merge"}
    for camera, parts in _groups(known).items():
        merged_from = ",".join(product_of(part)[1] for part in parts)
        for link, stem in _MERGED.items():
            path = f"{camera}-{stem}{len(parts) - 1}.fits"
            if path in merged:
                cards = {**_cards(known, parts[0], used), "MERGED": (merged_from, "exposures that were merged")}
                products.append(ChainProduct(path, Product(obs_id, camera, "ALL", _KINDS[link], *edges).name, cards))
    cleaned = [
        Cleaned(*product_of(part), before[part], path, _bad(known, part))
        for part, path in known.outputs("evselect", "filtered")
    ]
    if cleaned:
        name = Product(obs_id, "ALL", "ALL", "measures", suffix="json").name
        products.append(ChainProduct("", name, write=partial(write_measures, cleaned)))
    if products:
        # Files that users of a cleaned list also need.
        others = [path for path in known.inputs if not re.search(r"-\w*events\.fits\Z|\AOM-", path)]
        products += [ChainProduct(path, path) for path in others]
    return products


def _cards(known: Known, part: str, method: str) -> dict[str, tuple[object, str]]:
    """Cards from which native steps know what has been cut already."""
    own = known.parameters[f"{_camera(part)}_expression"]
    base = "standard" if own == _SCREENS[_camera(part)] else "none"
    cards: dict[str, tuple[object, str]] = {"SCREENED": (base, "event screening")}
    if band := known.parameters["energy"]:
        cards = {"SCREENED": ("own", "event screening"), "SCRBASE": (base, "screening that the following changes")}
        cards["SCRCHAN1"] = (round(1000 * band[0]), "first channel that is kept")
        cards["SCRCHAN2"] = (round(1000 * band[1]), "last channel that is kept")
    cards["FLAREMET"] = (method, "flare filter")
    if _camera(part) == "pn":
        cards["OOTCORR"] = (False, "out-of-time events subtracted")
    return cards


def _refuse(known: Known) -> None:
    if not _lists(known):
        raise DataError(
            "no-exposure",
            f"{known.task.mission} {known.task.obs_id} has no event list of EPIC",
            remedy="run the step events again, or choose other instruments",
        )
    if known.parameters["anomalous"] == "drop" and not has(known, "emanom"):
        raise DataError(
            "no-emanom",
            f"SAS {known.release} has no emanom, which finds anomalous chips ({known.task.obs_id})",
            remedy='set anomalous = "keep" in [clean], or install a newer SAS',
        )


_FILTERED = ("table", "filteredset", "withfilteredset", "keepfilteroutput", "expression", "destruct")

CLEAN = Chain(
    missions=("xmm",),
    step="clean",
    version="1",
    links=(
        Link("emanom", "emanom", _emanom, "MOS: chips in an anomalous state", {"keepcorner": False}, ("eventfile",)),
        Link(
            "espfilt",
            "espfilt",
            _espfilt,
            "flares, by a fit to the histogram of the rates",
            {
                "method": "histogram",
                "withsmoothing": True,
                "smooth": 51.0,
                "withbinning": True,
                "binsize": 60.0,
                "ratio": 1.2,
                "withlongnames": True,
                "elow": 2500,
                "ehigh": 8500,
                "allowsigma": 3.0,
                "limits": "0.1 6.5",
                "keepinterfiles": False,
            },
            ("eventfile", "eventset", "withoot", "ootfile"),
        ),
        Link(
            "curve",
            "evselect",
            _curve,
            "light curve of hard events, for the threshold",
            {"timebinsize": 100.0, "maketimecolumn": True, "makeratecolumn": True},
            ("table", "rateset", "withrateset"),
        ),
        Link("tabgtigen", "tabgtigen", _tabgtigen, "good times below the threshold", {}, ("table", "gtiset")),
        Link(
            "evselect",
            "evselect",
            lambda known: _filter(known, "events", "clean"),
            "screened events",
            {"updateexposure": True},
            _FILTERED,
        ),
        Link(
            "evselect_oot",
            "evselect",
            lambda known: _filter(known, "ootevents", "ootclean"),
            "pn: screened out-of-time events",
            {"updateexposure": True},
            _FILTERED,
        ),
        Link("merge", "merge", _merge, "one list of the exposures of a camera", {}, ("set1", "set2", "outset")),
    ),
    products=_products,
    parameters=_PARAMETERS,
    place=place_product,
    resources=Resources(memory=2 << 30, time_limit=12 * 3600.0),
    # It reads no calibration files, but another release may find other flares.
    calibrated=True,
    # Chains randomise energies and positions of events, so that cuts on them differ from run to run.
    randomised=("finalevents", "finalootevents", "gti"),
    refuse=_refuse,
)
