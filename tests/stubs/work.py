"""What the stand-ins make: files of the names that the tables and the facts say, from their inputs."""

from __future__ import annotations

import glob
import os
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stubs.fits import write_image, write_table

if TYPE_CHECKING:
    from daxa.backends.tools.tables import Output
    from tests.stubs.program import Run

# Names that chains choose themselves, by tool and output.
NAMES = {
    ("epchain", "events"): "P{obs}PNS003PIEVLI0000.FIT",
    ("epchain", "outoftime"): "P{obs}PNS003OOEVLI0000.FIT",
    ("epchain", "timing"): "P{obs}PNS003TIEVLI0000.FIT",
    ("epchain", "attitude"): "P{obs}OBX000ATTTSR0000.FIT",
    ("emchain", "events"): "P{obs}{instruments}S001MIEVLI0000.FIT",
    ("emchain", "attitude"): "P{obs}OBX000ATTTSR0000.FIT",
    ("emchain", "flares"): "P{obs}{instruments}S001FBKTSR0000.FIT",
    ("epproc", "events"): "0001_{obs}_EPN_S003_ImagingEvts.ds",
    ("epproc", "attitude"): "0001_{obs}_AttHk.ds",
    ("emproc", "events"): "0001_{obs}_EMOS1_S001_ImagingEvts.ds",
    ("emproc", "attitude"): "0001_{obs}_AttHk.ds",
    ("rgsproc", "merged"): "P{obs}R1S004merged0000.FIT",
    ("rgsproc", "events"): "P{obs}R1S004EVENLI0000.FIT",
    ("rgsproc", "spectra"): "P{obs}R1S004SRSPEC1001.FIT",
    ("emanom", "states"): "mos1S001-anom.log",
    ("omichain", "products"): "P{obs}OMS006SIMAGE0000.FIT",
    ("omfchain", "products"): "P{obs}OMS006TIMESR1000.FIT",
    ("omgchain", "products"): "p{obs}OMS006SPECTR000.FIT",
    ("espfilt", "gti"): "mos1S001-gti.fits",
    ("espfilt", "events"): "mos1S001-allevc.fits",
    ("espfilt", "histogram"): "mos1S001-hist.qdp",
}


def lack_of_environment(run: Run) -> tuple[str, str] | None:
    """Name and text of what the environment lacks."""
    suite = run.tool.suite
    if missing := [name for name in suite.needed if not os.environ.get(name)]:
        return "environment", f"{missing[0]} is not set"
    if suite.name == "sas" and run.tool.name in ("odfingest", "epchain", "emchain") and not os.environ.get("SAS_CCF"):
        return "SAS_CCF", "the index of calibration files is not set"
    if " " in str(Path.cwd()) and suite.name in ("sas", "heasoft"):
        return "path", "cannot work in a directory with blanks"
    return None


def work(run: Run) -> tuple[str, str] | None:
    """Make the outputs; name and text of an error where that is not possible."""
    known = run.tool.at(run.release)
    inputs = [
        path for name in run.tool.inputs if name in known for path in _paths(run.values[name], known[name].several)
    ]
    missing = [path for path in inputs if not path.exists()]
    if missing:
        return "FileNotFound", f"{missing[0]} does not exist"
    if run.failure == "writesInput" and inputs:
        _append(inputs[0])
    if run.failure == "noCalibration":  # So it is where nothing is said of it: no files.
        return None
    if run.failure in ("outputsMissing", "outputsStale"):
        return None
    outputs = [one for one in run.tool.outputs if run.tool.holds(one.when, run.values, run.release)]
    before = {path: path.stat().st_mtime_ns for output in outputs for path in _there(run, output)}
    if problem := _own_work(run):
        return problem
    for output in outputs:
        made = [path for path in _there(run, output) if path.stat().st_mtime_ns != before.get(path)]
        if output.optional and not made and _makes_what_it_can(run):
            continue
        for path in made or _targets(run, output):
            if not made:
                _make(run, path, output.kind, inputs)
            _spoil(run, path)
    return None


def _there(run: Run, output: Output) -> list[Path]:
    return [Path(one) for one in glob.glob(_filled(run, output.pattern))]  # noqa: PTH207 - may be absolute


def _makes_what_it_can(run: Run) -> bool:
    """Whether the tool's own work decides which of the files are made that it may leave out."""
    return run.tool.suite.name != "sas" and run.tool.name in WITH_SCIENCE[run.tool.suite.name]


def _own_work(run: Run) -> tuple[str, str] | None:
    if run.tool.name in _OWN:
        return _OWN[run.tool.name](run)
    if run.tool.name not in WITH_SCIENCE[run.tool.suite.name]:
        return None
    # Libraries are imported only by tools that need them.
    return getattr(import_module(f"tests.stubs.science.{run.tool.suite.name}"), run.tool.name)(run)


def _make(run: Run, path: Path, kind: str, inputs: list[Path]) -> None:
    """A file of the right kind, from the first input where there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = next((one for one in inputs if one.is_file()), None)
    if kind == "text":
        path.write_text(f"{run.tool.name}\n")
    elif kind == "rows" and first is not None:
        if first.resolve() != path.resolve():
            shutil.copyfile(first, path)
    elif kind == "rows":
        write_table(path, "EVENTS", {"TIME": [1.0, 2.0, 3.0], "PI": [500.0, 1000.0, 2000.0]}, gti=[(0.0, 10.0)])
    else:
        write_image(path, 8, 8)


def _spoil(run: Run, path: Path) -> None:
    if run.failure == "outputsEmpty":
        path.write_bytes(b"")
    if run.failure == "truncated":
        path.write_bytes(path.read_bytes()[:-1440])


def _append(path: Path) -> None:
    if path.is_dir():
        path = min(one for one in path.rglob("*") if one.is_file())
    with path.open("ab") as stream:
        stream.write(bytes(2880))


def _paths(value: str, several: bool) -> list[Path]:
    files = [re.sub(r":[A-Za-z]\w*\Z|\[.*", "", one) for one in (value.split() if several else [value])]
    return [Path(one) for one in files if one and one != "NONE"]


def _filled(run: Run, pattern: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: run.values.get(found[1], "") or ".", pattern)


def _targets(run: Run, output: Output) -> list[Path]:
    filled = _filled(run, output.pattern)
    if re.fullmatch(r"\{\w+\}", output.pattern):
        return [Path(one.partition("[")[0].removeprefix("!")) for one in filled.split() if one != "."]
    path = Path(filled)
    raw = Path(os.environ.get("SAS_ODF", "."))  # A directory, or the summary itself.
    summaries = sorted((raw.parent if raw.is_file() else raw).glob("*_SCX00000SUM.SAS"))
    told = {"obs": summaries[0].name.split("_")[1] if summaries else "0000000000"}
    told["instruments"] = run.values.get("instruments", "").replace("both", "") or "M1"
    chosen = NAMES.get((run.tool.name, output.name), path.name.rstrip("*").replace("*", "stub") or "stub.fits")
    return [path.parent / chosen.format(**told)]


def _cifbuild(run: Run) -> None:
    if run.values["masterindex"].lower() in ("yes", "y"):
        return
    target = Path("0001_0000000000.cif") if run.values["usecanonicalname"] == "yes" else Path(run.values["calindexset"])
    from tests.stubs import ccf

    observed, analysed = (run.values[name] for name in ("observationdate", "analysisdate"))
    if run.values["withobservationdate"].lower() not in ("yes", "y"):
        observed = _date_in_raw_files() or observed
    now = "9999-01-01"
    names = ccf.chosen(
        Path(os.environ["SAS_CCFPATH"].split(":")[0]), observed.replace("now", now), analysed.replace("now", now)
    )
    ccf.write_index(target, names, {"OBSVDATE": observed, "ANALDATE": analysed})


def _date_in_raw_files() -> str:
    """The start of the observation in the summary of the raw files."""
    summaries = sorted(Path(os.environ.get("SAS_ODF", ".")).glob("*SUM.ASC"))
    text = summaries[0].read_text(errors="replace") if summaries else ""
    found = re.search(r"(\S+) */ *Scheduled Start Time", text)
    return found[1] if found else ""


def _odfingest(run: Run) -> tuple[str, str] | None:
    folder = Path(run.values["odfdir"] if run.values["withodfdir"] == "yes" else os.environ.get("SAS_ODF", "."))
    told = sorted(folder.glob("*SUM.ASC"))
    if not told:
        return "noSummary", f"there is no summary file in {folder}"
    name = told[0].name.replace("SUM.ASC", "SUM.SAS")
    (Path(run.values["outdir"]) / name).write_text(f"PATH {folder.resolve()}\n{told[0].read_text()}")
    return None


_OWN = {"cifbuild": _cifbuild, "odfingest": _odfingest}
WITH_SCIENCE = {
    "sas": {
        *("evselect", "tabgtigen", "gtibuild", "espfilt", "merge", "eexpmap", "emanom", "emchain", "epchain"),
        *("emask", "eboxdetect", "esplinemap", "emldetect", "esensmap", "omichain", "omfchain", "omgchain"),
    },
    "esass": {
        "evtool",
        "flaregti",
        "expmap",
        "ermask",
        "erbox",
        "erbackmap",
        "ermldet",
        "catprep",
    },
    "ciao": {"dmcopy", "dmextract", "deflare", "fluximage", "chandra_repro", "mkpsfmap", "wavdetect"},
    "heasoft": {
        *("nupipeline", "nuexpomap", "xrtpipeline", "nicerl2", "aepipeline", "xapipeline"),
        *("uvotimsum", "uvotdetect", "batsurvey"),
    },
}
"""Tools whose work is in `science`; the others make files of the right names and kinds."""
