"""Install the programs of a suite into a directory, as its own installer would."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from daxa.backends.tools.environment import Installation
from daxa.backends.tools.reading import read_suite, read_tool, tool_names
from daxa.backends.tools.tables import Parameter

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.stubs.program import main
sys.exit(main({prefix!r}, {suite!r}, {release!r}, {tool!r}))
"""
LETTERS = {"flag": "b", "integer": "i", "real": "r", "choice": "s", "text": "s", "file": "f"}


def install_suite(prefix: Path, name: str, release: str = "") -> Installation:
    """All programs of a suite below `prefix`, and the environment that its set-up script would give."""
    suite = read_suite(name)
    release = release or suite.releases[-1]
    for folder in ("bin", "syspfiles", "requests", "calibration"):
        (prefix / folder).mkdir(parents=True, exist_ok=True)
    (prefix / "calibration" / "index").write_text("calibration files of the stand-ins, 1\n")
    write_caldb(prefix / "calibration")
    if name == "sas":
        (prefix / "calibration" / "XMM_MISCDATA_0022.CCF").write_text("calibration of the stand-ins\n")
    for tool in (*tool_names(name), *suite.version_command[:1]):
        path = prefix / "bin" / tool
        told = {"python": sys.executable, "root": str(ROOT), "prefix": str(prefix)}
        path.write_text(LAUNCHER.format(**told, suite=name, release=release, tool=tool))
        path.chmod(0o755)
    if suite.parfiles:
        for tool in tool_names(name):
            known = read_tool(name, tool)
            if suite.grammar == "parfile" and suite.covers(known.since, known.until, release):
                write_parfile(prefix / "syspfiles" / f"{tool}.par", known.at(release).values())
        for copied in suite.copied_parfiles:
            (prefix / "syspfiles" / copied).write_text('mode,s,h,"hl",,,\n')
    return Installation(suite, release, _environment(prefix, name))


def _environment(prefix: Path, name: str) -> dict[str, str]:
    calibration = str(prefix / "calibration")
    given = {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "SECRET_TOKEN": "not for tools"}
    home = prefix / "home"
    home.mkdir(exist_ok=True)
    if name == "sas":
        given |= {"SAS_DIR": str(prefix), "SAS_PATH": str(prefix), "SAS_CCFPATH": calibration, "HEADAS": str(prefix)}
    elif name == "ciao":
        given |= {"ASCDS_INSTALL": str(prefix), "CALDB": calibration, "CALDBCONFIG": f"{calibration}/caldb.config"}
    elif name == "esass":
        given |= {"CALDB": calibration, "CALDBCONFIG": f"{calibration}/caldb.config"}
    elif name == "heasoft":
        given |= {"HEADAS": str(prefix), "CALDB": calibration, "CALDBCONFIG": f"{calibration}/caldb.config",
                  "GEOMAG_PATH": f"{calibration}/geomag"}  # fmt: skip
    return given | {"PFILES": f"{home};{prefix / 'syspfiles'}"}


CALIBRATED = {"NUSTAR": "FPM", "SWIFT": "XRT", "NICER": "XTI", "SUZAKU": "XIS", "XRISM": "XTEND", "CHANDRA": "ACIS",
              "EROSITA": "TM1"}  # fmt: skip
"""Mission to one of its instruments in the calibration of the stand-ins."""


def write_caldb(root: Path, issue: int = 1) -> None:
    """Index files of a CALDB, and the configuration that names them."""
    lines = []
    for mission, instrument in (*CALIBRATED.items(), ("SWIFT", "BAT")):
        place = f"data/{mission}/{instrument}".lower()
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "caldb.indx").write_text(f"{mission} {instrument}, issue {issue}\n")
        lines.append(f"{mission} {instrument} CALDB {place} caldb.indx CALDB {place}\n")
    (root / "caldb.config").write_text("".join(lines))
    (root / "geomag").mkdir(exist_ok=True)
    (root / "geomag" / "kp.fits").write_text(f"issue {issue}\n")


def write_parfile(path: Path, parameters) -> None:
    """A parameter file: name, type, mode, value, minimum or choices, maximum, prompt."""
    path.write_text("".join(parfile_line(one) for one in parameters))


def parfile_line(one: Parameter, value: str | None = None) -> str:
    """One line of a parameter file."""
    text = (one.default or "") if value is None else value
    return f'{one.name},{LETTERS[one.kind]},{"a" if one.required else "h"},"{text}",{"|".join(one.choices)},,""\n'


def request(prefix: Path, tool: str, failure: str, **more: object) -> None:
    """Have a tool fail in some way, until `grant`; `only` where the path of its directory holds a text."""
    (prefix / "requests" / tool).write_text(json.dumps({"failure": failure, **more}))


def grant(prefix: Path, tool: str) -> None:
    """Let a tool work again."""
    (prefix / "requests" / tool).unlink(missing_ok=True)
