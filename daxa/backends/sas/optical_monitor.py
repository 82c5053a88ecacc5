"""The optical monitor of XMM-Newton: which of its chains have something to do, and what they make.

It sees optical and ultraviolet light.  Its products have kinds of their own, so that no later step takes them for
X-ray data, and are made only where the params file asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from daxa.backends.chains import CallPlan, ChainProduct, Known
from daxa.run.product import Product

__all__ = ["INSTRUMENT", "MODES", "monitor_calls", "monitor_products"]

INSTRUMENT = "OM"

MODES = {"image": "omichain", "fast": "omfchain", "grism": "omgchain"}
"""What can be processed, to the link that does it."""

_RAW = re.compile(r"(?:.*/)?\d{4}_\d{10}_OM[SUX]\d{5}(IMI|E4I|FAE)\.FIT", re.ASCII)
"""Images, those of the full frame in high resolution, and events of the fast mode (Data Files Handbook, 4.1.7)."""

_MADE = re.compile(r"(?:.*/)?[Pp]\d{10}OM(COMB|[SUX]\d{3})([A-Z0-9_]{6})(\w{3,5})\.FIT", re.ASCII)
"""Exposure, type of the data, and window or filter with the number of a source (SAS Users' Guide, 6.5)."""

_KINDS = {
    "SIMAGE": "omimage",
    "SWSRLI": "omsources",
    "OBSMLI": "omcatalogue",
    "TIMESR": "omlightcurve",
    "SPECTR": "omspectrum",
    "FSIMAG": "ommosaic",
    "HSIMAG": "ommosaic",
    "LSIMAG": "ommosaic",
    "RSIMAG": "ommosaic",
}


def _has(known: Known, mode: str) -> bool:
    """Whether there are raw files of a mode: a chain without any would fail."""
    raw = {path: found[1] for path in known.inputs if (found := _RAW.fullmatch(path))}
    if mode == "fast":
        return "FAE" in raw.values()
    # omgchain itself looks for its images in this way.
    filters = (str(known.facts.header(path).get("FILTER", "")) for path, end in raw.items() if end != "FAE")
    return any(name.lower().startswith("grism") == (mode == "grism") for name in filters)


def monitor_calls(known: Known, mode: str, variables: dict[str, str]) -> list[CallPlan]:
    """The call of the chain of a mode, if it is wanted and there are raw files.

    Parameters
    ----------
    known
        So far; its parameter ``om`` has the modes that are wanted.
    mode
        One of `MODES`.
    variables
        Of the call.
    """
    wanted = mode in known.parameters["om"] and INSTRUMENT in known.instruments
    return [CallPlan({}, f"{INSTRUMENT}-{mode}", variables=variables)] if wanted and _has(known, mode) else []


def monitor_products(known: Known) -> Iterator[ChainProduct]:
    """What the chains have made, under our names: the window and the source are part of the exposure's."""
    for link in MODES.values():
        for path in dict.fromkeys(path for _, path in known.outputs(link, "products")):
            found = _MADE.fullmatch(path)
            if found is None or found[2] not in _KINDS:
                continue
            exposure, kind, rest = found[1], _KINDS[found[2]], found[3]
            whole = exposure in ("COMB", "X000")
            part = f"w{rest}" if not whole else f"{found[2][0]}{rest}" if kind == "ommosaic" else ""
            name = Product(known.task.obs_id, INSTRUMENT, ("ALL" if whole else exposure) + part, kind).name
            yield ChainProduct(path, name)
