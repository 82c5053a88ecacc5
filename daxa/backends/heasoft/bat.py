"""Swift's BAT: the histograms of its detector plane become a catalogue of sources for each pointing.

It looks through a coded mask, so that there are no lists of photons with places on the sky: its products have kinds of
their own, which no later step reads, and are made only where BAT is a chosen instrument.  Names of files, codes and
limits are those of the script and the page of batsurvey 6.15 (HEASoft 6.20).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from daxa.backends.chains import CallPlan, ChainProduct, Known, Link
from daxa.backends.chains.tool_settings import FAILING
from daxa.errors import CallError, DataError, NotPossible
from daxa.run.product import Product

__all__ = ["INSTRUMENT", "LINKS", "bat_products"]

INSTRUMENT = "BAT"

_LINK = "batsurvey"
_BINS = "14-20,20-24,24-35,35-50,50-75,75-100,100-150,150-195"
"""Energies in keV: the default, and one of two sets that the BAT team recommends."""

_ENERGIES = (14.0, 200.0)
"""What the histograms cover, keV."""

_MOST_BINS = 80
"""Energies that a histogram has; the smallest are those of 20."""

_ENERGY = r"\d{1,3}(?:\.\d{1,3})?"
_LIST = re.compile(rf"{_ENERGY}-{_ENERGY}(?:,{_ENERGY}-{_ENERGY})*", re.ASCII)

_NEEDED = (
    *(f"bat/hk/sw{{obs_id}}{name}.hk" for name in ("ben", "bdecb", "bgocb")),
    *(f"auxil/sw{{obs_id}}{name}" for name in ("sat.fits", "sao.fits", "sen.hk")),
)
"""Detectors that were on and their offsets, attitude, orbit and star tracker.  Without the second and third of them,
batsurvey would ask a data base that only its makers have."""

_SURVEY = "obs/bat/survey/"

_SCREENED = {
    "dpi1_failed": "no histogram lies within its good times",
    "dpi2_failed": "no histogram lies within the times of stable pointing",
    "expo_small": "its exposure is below expothresh",
    "zero_counts": "it has no counts",
    "ndets_low": "fewer than detthresh2 detectors are good",
}
"""Codes of pointings that were left out for what the data are; any other code means that a task failed."""

_POINTING = re.compile(
    r".*/point_(\d{11})/point_\1_(?:status\.txt|pnt\.gti|\d{1,2}\.(?:cat|img|var))", re.ASCII | re.DOTALL
)
"""Year, day of the year, hour and minute of its begin; other names in its directory are not those of its results."""

_CODE = re.compile(r'status="(\w{1,20})";code="([\w.-]{1,40})"', re.ASCII)
_KINDS = {"catalogue": "batsources", "times": "batgti", "image": "batimage", "noise": "batnoise"}


def _survey(known: Known) -> list[CallPlan]:
    """One call for the observation, with a part of its own beside other instruments, which may then go without it."""
    beside = len(known.instruments) > 1
    if INSTRUMENT not in known.instruments or (beside and not any(path.startswith(_SURVEY) for path in known.inputs)):
        return []
    obs_id = known.task.obs_id
    if missing := [name for one in _NEEDED if f"obs/{(name := one.format(obs_id=obs_id))}" not in known.inputs]:
        if beside and known.parameters["failing"] == FAILING[1]:
            return []
        without = f"; or do without the BAT: {_without(known)}" if beside else ""
        raise DataError(
            "no-housekeeping",
            f"{known.task.mission} {obs_id}: batsurvey needs {', '.join(missing)}, and the archive has none",
            remedy=f"choose other instruments, or leave the observation out of the selection{without}",
        )
    values = {"indir": "obs", "outdir": "survey", "elimits": _limits(known)}
    return [CallPlan(values, INSTRUMENT if beside else "")]


def _bins(text: object) -> list[float]:
    """The edges of bins, each with its lower and upper energy; none where they cannot be used."""
    if not isinstance(text, str) or text.count(",") >= _MOST_BINS or not _LIST.fullmatch(text):
        return []
    edges = [float(one) for one in re.split("[-,]", text)]
    whole = all(lo < hi for lo, hi in zip(edges[::2], edges[1::2], strict=True))
    apart = all(hi <= lo for hi, lo in zip(edges[1:-1:2], edges[2::2], strict=True))
    return edges if whole and apart and _ENERGIES[0] <= edges[0] and edges[-1] <= _ENERGIES[1] else []


def _refuse_bins(text: object) -> str:
    """What to write instead of bins that cannot be used."""
    if _bins(text):
        return ""
    lo, hi = _ENERGIES
    return f'write at most {_MOST_BINS} bins in ascending order from {lo:g} to {hi:g} keV, such as "14-24,24-50,50-100"'


def _refuse_limits(text: object) -> str:
    return "" if len(_bins(text)) == 2 else 'write two energies that are edges of bins, such as "14-195",'


def _limits(known: Known) -> str:
    """First and last energy of the bins: total rates are judged between them, which must be edges of bins."""
    given = (json.loads(known.task.parameters).get("heasoft") or {}).get(_LINK) or {}
    text = given.get("energybins", _BINS)
    if not (edges := _bins(text)):
        raise NotPossible(
            "energy-bins",
            f"{text!r:.100} cannot be used for energybins of {_LINK}",
            remedy=f"{_refuse_bins(text)} for it in [events.heasoft.{_LINK}]",
        )
    return f"{edges[0]:g}-{edges[-1]:g}"


def _pointing(path: str) -> str:
    """The pointing of a file; '' for a name that batsurvey does not give."""
    found = _POINTING.fullmatch(path)
    return found[1] if found else ""


def _shown(path: str) -> str:
    return re.sub(r"[^\w.-]", "?", path.rpartition("/")[2], flags=re.ASCII)[:60]


def _codes(known: Known) -> dict[str, str]:
    """What became of each pointing: ``ok``, or why it has no catalogue."""
    made = {_pointing(path) or _shown(path): path for _, path in known.outputs(_LINK, "catalogue")}
    codes = dict.fromkeys(made, "no status")
    for _, path in known.outputs(_LINK, "status"):
        if not (name := _pointing(path)):
            codes[_shown(path)] = "unknown name"
            continue
        found = _CODE.match(known.facts.text(path))
        status, code = found.groups() if found else ("", "no status")
        if status == "SUCCESS":
            code = _code_of_catalogue(known, made.get(name, ""))
        codes[name] = "no reason" if code == "ok" and status != "SUCCESS" else code
    return codes


def _code_of_catalogue(known: Known, path: str) -> str:
    """``ok`` for a table with rates, or without rows."""
    header = known.facts.header(path) if path else {}
    if "NAXIS2" not in header or "TFIELDS" not in header:
        return "no catalogue"
    columns = {str(value).strip() for name, value in header.items() if name.startswith("TTYPE")}
    return "ok" if not header["NAXIS2"] or "RATE" in columns else "no rates"


def _without(known: Known) -> str:
    return f'failing = "{FAILING[1]}" in [{known.task.step}.obs."{known.task.obs_id}"]'


def bat_products(known: Known) -> Iterator[ChainProduct]:
    """Catalogue and good times of each pointing that succeeded, and the table of all pointings.

    The begin of a pointing (year, day of the year, hour, minute) is in the place of the exposure.

    Parameters
    ----------
    known
        At the end.

    Raises
    ------
    CallError
        A task failed for a pointing.
    DataError
        No pointing is left.
    """
    codes = _codes(known)
    if not codes:
        return
    obs_id, stops = known.task.obs_id, known.parameters["failing"] == FAILING[0]
    failed = [f"{name} ({code})" for name, code in sorted(codes.items()) if code not in ("ok", *_SCREENED)]
    if failed and stops:
        raise CallError(
            f"heasoft.{_LINK}.pointingFailed",
            f"{known.task.mission} {obs_id}: {_LINK} failed for its pointing {', '.join(failed)}",
            remedy=f"see in its log what failed; or do without such pointings: {_without(known)}",
        )
    good = {name for name, code in codes.items() if code == "ok"}
    if not good:
        if len(known.instruments) > 1 and not stops:
            return
        reasons = (f"{name}: {_SCREENED.get(code, code)}" for name, code in sorted(codes.items()))
        without = f"; or do without the BAT: {_without(known)}" if len(known.instruments) > 1 else ""
        raise DataError(
            "no-exposure",
            f"{known.task.mission} {obs_id}: no pointing of the BAT is good ({'; '.join(reasons)})",
            remedy=f"see the thresholds in [events.heasoft.{_LINK}], or leave the observation out{without}",
        )
    for output, kind in (("pointings", "batpointings"), ("gti", "batgti")):
        for _, path in known.outputs(_LINK, output):
            yield ChainProduct(path, Product(obs_id, INSTRUMENT, "ALL", kind).name)
    for output, kind in _KINDS.items():
        for _, path in known.outputs(_LINK, output):
            if (name := _pointing(path)) in good:
                yield ChainProduct(path, Product(obs_id, INSTRUMENT, name, kind).name)


LINKS = (
    Link(
        _LINK,
        "batsurvey",
        _survey,
        "finds sources in each pointing of the BAT, and measures them in each energy bin",
        {
            "energybins": _BINS,
            "detthresh": 10000,
            "detthresh2": 10000,
            "keep_sky_images": "NONE",
            "clobber": True,
        },
        # Files that are not the observation's are no inputs of an archive, so that a change of them would go unseen;
        # the options of baterebin are pasted into a command.
        wired=(
            *("indir", "outdir", "incatalog", "gtifile", "aperture", "mask_edge_aperture", "alignfile"),
            *("global_pattern_map", "global_pattern_mask", "eff_area_map", "batclean_bkgmodel", "offcorrfile"),
            *("pulserfile", "fltpulserfile", "residfile", "baterebin_opts"),
            *("attitude_pattern", "sao_pattern", "go_pattern", "de_pattern"),
        ),
        apart=True,
        refuses={"energybins": _refuse_bins, "elimits": _refuse_limits},
    ),
)
"""It needs nothing of the other instruments."""
