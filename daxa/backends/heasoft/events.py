"""The step events through HEASoft: one pipeline per mission, from raw data to screened lists as the archives have them.

The lists are what the archives' own are, made with the calibration and the parameters of this machine; native steps
follow on them.  No task of HEASoft looks for flares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from daxa.backends.adopting import identify
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.native.exposure import ARCHIVED
from daxa.backends.parameter_schema import Parameter
from daxa.backends.protocol import Resources
from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.run.product import Product
from daxa.xray.telescopes import imaging_of

__all__ = ["CHAINS"]

_OBSERVATION = "obs"
"""The directory of the observation; its path is short, since some pipelines fail on long ones."""

_MODULES = {"FPMA": "A", "FPMB": "B"}
_HOUR = 3600.0


def _place(path: str) -> str:
    """Where an input stands: pipelines find files by the archive's own folders."""
    return f"{_OBSERVATION}/{path}"


def _lists(known: Known, link: str) -> list[tuple[str, Product, str]]:
    """Part, product and path of each list of a pipeline that native processing would start from."""
    spec, chosen = find_mission(known.task.mission), known.instruments
    found = []
    for part, path in known.outputs(link, "events"):
        product = identify(spec, known.task.obs_id, path.rpartition("/")[2], "events")
        if product is not None and (not chosen or product.instrument in chosen):
            found.append((part, product, path))
    return found


def _products(link: str, others: Sequence[str] = ()) -> Callable[[Known], list[ChainProduct]]:
    """What becomes of the lists of a pipeline, and of its other files, which keep their names."""

    def products(known: Known) -> list[ChainProduct]:
        lists = _lists(known, link)
        if not lists and link in known.links:
            raise DataError(
                "no-exposure",
                f"{known.task.mission} {known.task.obs_id}: {link} made no list of {', '.join(known.instruments)}",
                remedy="see in its log what it left out; leave the observation out, or choose other instruments",
            )
        found = [ChainProduct(path, product.name) for _, product, path in lists]
        seen: set[str] = set()
        for _, path in (one for output in others for one in known.outputs(link, output)):
            # What each module's call makes anew of the whole spacecraft is kept once.
            if (name := path.rpartition("/")[2]) not in seen:
                seen.add(name)
                found.append(ChainProduct(path, name))
        return found

    return products


# NuSTAR ------------------------------------------------------------------------------------------------------------


def _nupipeline(known: Known) -> list[CallPlan]:
    there = [module for module, letter in _MODULES.items() if _has(known, rf"event_uf/nu\w+{letter}_uf\.evt")]
    stem, stages = f"nu{known.task.obs_id}", {"entrystage": 1, "exitstage": 2}
    return [
        CallPlan({**stages, "indir": _OBSERVATION, "outdir": module, "steminputs": stem, "instrument": module}, module)
        for module in there
        if not known.instruments or module in known.instruments
    ]


def _has(known: Known, pattern: str) -> bool:
    return any(re.fullmatch(f"{_OBSERVATION}/{pattern}", path) for path in known.inputs)


def _nuexpomap(known: Known) -> list[CallPlan]:
    plans = []
    for module, events in known.outputs("nupipeline", "events"):
        files = {
            "mastaspectfile": known.output("nupipeline", "mast", module),
            "attfile": known.output("nupipeline", "attitude", module),
            "det1reffile": known.output("nupipeline", "det1", module),
        }
        if not events.endswith("01_cl.evt") or not all(files.values()):
            continue
        for lo, hi in known.parameters["maps"]:
            values = {
                "infile": events,
                **files,
                "expomapfile": f"{module}/{lo!r}_{hi!r}_ex.img",
                # Mirrors reflect by energy: that in the middle of the band's logarithm stands for it.
                "energy": round(min(max((lo * hi) ** 0.5, 1.6), 89.5), 3),
            }
            plans.append(CallPlan(values, module, f"{lo!r}_{hi!r}"))
    return plans


def _nustar_products(known: Known) -> list[ChainProduct]:
    products = _products("nupipeline", ("badpixels", "hotpixels", "det1", "mast", "attitude", "filter"))(known)
    for module, path in known.outputs("nuexpomap", "expmap"):
        lo, _, hi = path.rpartition("/")[2].removesuffix("_ex.img").partition("_")
        products.append(ChainProduct(path, Product(known.task.obs_id, module, "None", ARCHIVED, lo, hi).name))
    return products


_NUSTAR = Chain(
    missions=("nustar",),
    step="events",
    version="1",
    place=_place,
    links=(
        Link(
            "nupipeline",
            "nupipeline",
            _nupipeline,
            "calibrates and screens each module (stages 1 and 2)",
            {"obsmode": "SCIENCE", "clobber": True},
            wired=("indir", "outdir", "steminputs", "instrument", "entrystage", "exitstage", "stemoutputs"),
            seconds=12 * _HOUR,
        ),
        Link(
            "nuexpomap",
            "nuexpomap",
            _nuexpomap,
            "makes an exposure map of each module and band",
            {"vignflag": True, "clobber": True},
            wired=("infile", "mastaspectfile", "attfile", "det1reffile", "expomapfile"),
        ),
    ),
    products=_nustar_products,
    parameters=(
        Parameter(
            "maps",
            "bands",
            tuple((band.lo, band.hi) for band in imaging_of("nustar").bands),
            "bands of the exposure maps; the step images uses one beside images of the same band",
            unit="keV",
        ),
    ),
    resources=Resources(memory=2 << 30),
    calibrated=True,
)

# The others --------------------------------------------------------------------------------------------------------


def _whole(stem: str, **values: object) -> Callable[[Known], list[CallPlan]]:
    """One call for the observation, of a pipeline that is told where, whereto and what the files are called."""

    def plan(known: Known) -> list[CallPlan]:
        names = {"indir": _OBSERVATION, "outdir": "out", "steminputs": f"{stem}{known.task.obs_id}"}
        return [CallPlan({**names, **values})]

    return plan


_NAMES = ("indir", "outdir", "steminputs", "stemoutputs")

_SWIFT = Chain(
    missions=("swift",),
    step="events",
    version="1",
    place=_place,
    links=(
        Link(
            "xrtpipeline",
            "xrtpipeline",
            _whole("sw", entrystage=1, exitstage=2),
            "calibrates and screens the lists of the XRT (stages 1 and 2)",
            {
                "srcra": "OBJECT",
                "srcdec": "OBJECT",
                "createexpomap": True,
                "plotdevice": "ps",
                "clobber": True,
            },
            wired=(*_NAMES, "entrystage", "exitstage"),
        ),
    ),
    products=_products("xrtpipeline", ("expmap",)),
    resources=Resources(memory=1 << 30),
    calibrated=True,
)


def _nicerl2(known: Known) -> list[CallPlan]:
    return [CallPlan({"indir": _OBSERVATION})]


_NICER = Chain(
    missions=("nicer",),
    step="events",
    version="1",
    place=_place,
    links=(
        Link(
            "nicerl2",
            "nicerl2",
            _nicerl2,
            "calibrates and screens the list of all modules",
            {"filtcolumns": "NICERV5", "clobber": True},
            # The list must have the archive's name, and geomagnetic data are calibration.
            wired=("indir", "cldir", "clfile", "ufafile", "mkfile", "evtsuffix", "geomag_path"),
        ),
    ),
    products=_products("nicerl2", ("filter",)),
    resources=Resources(memory=2 << 30),
    calibrated=True,
)

_SUZAKU = Chain(
    missions=("suzaku",),
    step="events",
    version="1",
    place=_place,
    links=(
        Link(
            "aepipeline",
            "aepipeline",
            _whole("ae", entry_stage=1, exit_stage=2, instrument="XIS"),
            "calibrates and screens the lists of the XIS (stages 1 and 2)",
            {"clobber": True},
            wired=(*_NAMES, "entry_stage", "exit_stage", "instrument"),
        ),
    ),
    products=_products("aepipeline", ("report",)),
    resources=Resources(memory=2 << 30),
    calibrated=True,
)


def _xapipeline(known: Known) -> list[CallPlan]:
    """With one instrument chosen, only its files are there."""
    instrument = known.instruments[0] if len(known.instruments) == 1 else "ALL"
    return _whole("xa", stemoutputs="DEFAULT", entry_stage=1, exit_stage=2, instrument=instrument)(known)


_XRISM = Chain(
    missions=("xrism",),
    step="events",
    version="1",
    place=_place,
    links=(
        Link(
            "xapipeline",
            "xapipeline",
            _xapipeline,
            "calibrates and screens the lists of Resolve and Xtend (stages 1 and 2)",
            {
                "verify_input": False,
                "create_ehkmkf": False,
                "calc_pointing": True,
                "calc_optaxis": True,
                "calc_gtilost": False,
                "calc_adrgti": False,
                "calc_mxsgti": False,
                "rsl_gainfile": "CALDB",
                "calmethod": "FE55",
                "linetocorrect": "MnKa",
                "seed": 650504,
                "numevent": 1000,
                "minevent": 200,
                "extraspread": 40,
                "spangti": False,
                "clobber": True,
            },
            wired=(*_NAMES, "entry_stage", "exit_stage"),
        ),
    ),
    products=_products("xapipeline"),
    resources=Resources(memory=4 << 30),
    calibrated=True,
)

CHAINS = (_NUSTAR, _SWIFT, _NICER, _SUZAKU, _XRISM)
"""What HEASoft does here."""
