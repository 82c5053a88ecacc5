"""The step events through HEASoft: one pipeline per mission, from raw data to screened lists.

The lists are equivalent to those of the archives, made with the calibration and parameters of this machine, and are
processed further by native steps.  No task of HEASoft looks for flares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from daxa.backends.adopting import identify
from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.chains.tool_settings import FAILING
from daxa.backends.heasoft.bat import LINKS as BAT_LINKS
from daxa.backends.heasoft.bat import bat_products
from daxa.backends.heasoft.uvot import LINKS, uvot_products
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
    """Where an input is put: pipelines expect the folders of the archive."""
    return f"{_OBSERVATION}/{path}"


def _lists(known: Known, link: str) -> list[tuple[str, Product, str]]:
    """Part, product and path of each list that native processing would start from."""
    spec, chosen = find_mission(known.task.mission), known.instruments
    found = []
    for part, path in known.outputs(link, "events"):
        product = identify(spec, known.task.obs_id, path.rpartition("/")[2], "events")
        if product is not None and (not chosen or product.instrument in chosen):
            found.append((part, product, path))
    return found


def _products(link: str, others: Sequence[str] = ()) -> Callable[[Known], list[ChainProduct]]:
    """Products from the lists of a pipeline, and from its other files, which keep their names."""

    def products(known: Known) -> list[ChainProduct]:
        lists = _lists(known, link)
        if not lists and link in known.links and not _only_others(known, link):
            tried = any(call.link == link for call in known.finished)
            made = f"{link} made no list" if tried else "no call made a list or image"
            raise DataError(
                "no-exposure",
                f"{known.task.mission} {known.task.obs_id}: {made} of {', '.join(known.instruments)}",
                remedy="see in its log what it left out; leave the observation out, or choose other instruments",
            )
        found = [ChainProduct(path, product.name) for _, product, path in lists]
        seen: set[str] = set()
        for _, path in (one for output in others for one in known.outputs(link, output)):
            # Files about the whole spacecraft, which each module's call makes again, are kept once.
            if (name := path.rpartition("/")[2]) not in seen:
                seen.add(name)
                found.append(ChainProduct(path, name))
        return found

    return products


def _only_others(known: Known, link: str) -> bool:
    """Whether other links have made something, and this one had nothing to do, or was left out."""
    made = {call.link for call in known.finished if call.part not in known.left_out and any(call.outputs.values())}
    return bool(made) and link not in made


def _chain(
    mission: str,
    products: Callable[[Known], list[ChainProduct]],
    gigabytes: int,
    links: tuple[Link, ...],
    parameters: tuple[Parameter, ...] = (),
) -> Chain:
    """What the chains of all missions share."""
    return Chain(
        missions=(mission,),
        step="events",
        version="1",
        place=_place,
        links=links,
        products=products,
        parameters=parameters,
        resources=Resources(memory=gigabytes << 30),
        calibrated=True,
    )


# NuSTAR ------------------------------------------------------------------------------------------------------------


def _nupipeline(known: Known) -> list[CallPlan]:
    present = [module for module, letter in _MODULES.items() if _has(known, rf"event_uf/nu\w+{letter}_uf\.evt")]
    stem, stages = f"nu{known.task.obs_id}", {"entrystage": 1, "exitstage": 2}
    return [
        CallPlan({**stages, "indir": _OBSERVATION, "outdir": module, "steminputs": stem, "instrument": module}, module)
        for module in present
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
                # Reflectivity depends on energy: the logarithmic middle of the band represents it.
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


_NUSTAR = _chain(
    "nustar",
    _nustar_products,
    2,
    (
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
    parameters=(
        Parameter(
            "maps",
            "bands",
            tuple((band.lo, band.hi) for band in imaging_of("nustar").bands),
            "bands of the exposure maps; the step images uses one beside images of the same band",
            unit="keV",
        ),
    ),
)

# The others --------------------------------------------------------------------------------------------------------


def _whole(stem: str, **values: object) -> Callable[[Known], list[CallPlan]]:
    """One call for the observation, of a pipeline that takes input and output directories and a stem."""

    def plan(known: Known) -> list[CallPlan]:
        names = {"indir": _OBSERVATION, "outdir": "out", "steminputs": f"{stem}{known.task.obs_id}"}
        return [CallPlan({**names, **values})]

    return plan


_NAMES = ("indir", "outdir", "steminputs", "stemoutputs")


def _xrtpipeline(known: Known) -> list[CallPlan]:
    """Its own part beside other instruments, which may then fail alone."""
    if known.instruments and "XRT" not in known.instruments:
        return []
    part = "XRT" if len(known.instruments) > 1 else ""
    return [replace(plan, part=part) for plan in _whole("sw", entrystage=1, exitstage=2)(known)]


def _swift_products(known: Known) -> list[ChainProduct]:
    found = [*uvot_products(known), *bat_products(known)]
    leaves_out = known.parameters["failing"] == FAILING[1]
    if found and ("XRT" not in known.instruments or (leaves_out and not _lists(known, "xrtpipeline"))):
        return found
    return [*_products("xrtpipeline", ("expmap",))(known), *found]


def _xrt_where_it_is(known: Known) -> list[CallPlan]:
    """Beside other instruments, the XRT may have nothing."""
    alone = len(known.instruments) < 2
    return _xrtpipeline(known) if alone or _has(known, r"xrt/event/sw\w+_uf\.evt") else []


_SWIFT = _chain(
    "swift",
    _swift_products,
    1,
    (
        Link(
            "xrtpipeline",
            "xrtpipeline",
            _xrt_where_it_is,
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
        *LINKS,
        *BAT_LINKS,
    ),
)


def _nicerl2(known: Known) -> list[CallPlan]:
    return [CallPlan({"indir": _OBSERVATION})]


_NICER = _chain(
    "nicer",
    _products("nicerl2", ("filter",)),
    2,
    (
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
)

_SUZAKU = _chain(
    "suzaku",
    _products("aepipeline", ("report",)),
    2,
    (
        Link(
            "aepipeline",
            "aepipeline",
            _whole("ae", entry_stage=1, exit_stage=2, instrument="XIS"),
            "calibrates and screens the lists of the XIS (stages 1 and 2)",
            {"clobber": True},
            wired=(*_NAMES, "entry_stage", "exit_stage", "instrument"),
        ),
    ),
)


def _xapipeline(known: Known) -> list[CallPlan]:
    """If only one instrument was chosen, only its files were fetched."""
    instrument = known.instruments[0] if len(known.instruments) == 1 else "ALL"
    return _whole("xa", stemoutputs="DEFAULT", entry_stage=1, exit_stage=2, instrument=instrument)(known)


_XRISM = _chain(
    "xrism",
    _products("xapipeline"),
    4,
    (
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
)

CHAINS = (_NUSTAR, _SWIFT, _NICER, _SUZAKU, _XRISM)
"""All chains of HEASoft."""
