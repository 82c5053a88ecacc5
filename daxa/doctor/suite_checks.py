"""Mission software: whether it is found, complete, set up and working, and how old its calibration files are."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from daxa.archive.config import ArchiveConfig, load_parameters, steps_of
from daxa.archive.layout import Layout
from daxa.backends.registry import backend_of_step
from daxa.backends.sas.constituents import submission_date
from daxa.backends.tools.calibration import caldb_indices, index_identity
from daxa.backends.tools.capture import find_installation
from daxa.backends.tools.command import make_call
from daxa.backends.tools.environment import Installation
from daxa.backends.tools.installed import built_on, installed_tool
from daxa.backends.tools.reading import read_suite, read_tool, tool_names
from daxa.backends.tools.running import Ran, run_call
from daxa.backends.tools.tables import Suite
from daxa.doctor.backend_checks import served_text
from daxa.doctor.finding import Finding, State, guarded
from daxa.doctor.given_parameters import check_given_parameters
from daxa.errors import ProgramError

__all__ = ["look_at_suite"]

_SECONDS = 600.0
"""Time limit of a trial: an index of all calibration files on a network file system takes minutes."""

_AHEAD = timedelta(days=3 * 365)
"""By how much calibration files may be newer than the software that reads them: SAS has a release every year or two."""

_MJD = date(1858, 11, 17)
_DATED = re.compile(r"(20\d\d)(0\d|1[0-2])([0-2]\d|3[01])")
_NAMED = 5


def look_at_suite(name: str, layout: Layout, config: ArchiveConfig | None) -> Iterator[Finding]:
    """Check one suite.

    Parameters
    ----------
    name
        Name of the suite.
    layout, config
        The current archive, if there is one: its observations determine how new the calibration must be.
    """
    try:
        installed = find_installation(name)
    except ProgramError as error:
        got = f"; to install it: {read_suite(name).obtain}" if error.name == "absent" else ""
        yield Finding(name, "software", "error", error.message, f"{error.remedy}{got}")
        return
    yield Finding(name, "software", *_release(installed))
    yield Finding(name, "missions", "ok", served_text(name))
    yield from _programs(installed)
    lacking = [one for one in installed.suite.needed if not installed.environ.get(one)]
    if lacking:
        remedy = f'give it in your configuration: [backends.{name}] variables = {{ {lacking[0]} = "..." }}'
        yield Finding(name, "environment", "error", f"{', '.join(lacking)} is not set", remedy)
        return
    yield from guarded(name, "parameters", partial(check_given_parameters, installed, layout, config))
    yield from guarded(name, "trial", partial(_trial, installed))
    yield from guarded(name, "calibration", partial(_calibration, installed, _latest(name, layout, config)))


def _release(installed: Installation) -> tuple[State, str, str]:
    suite, release = installed.suite, installed.release
    where = f", image {installed.container.digest[:19]}" if installed.container else ""
    text = f"{suite.title} {release}{where}"
    if suite.named and release not in suite.releases:
        return "warning", text, f"daxa knows {' and '.join(suite.releases)}: install one of them"
    if suite.rank(release)[:2] < suite.rank(suite.releases[0])[:2]:
        return "warning", text, f"the oldest release that daxa knows is {suite.releases[0]}: install a newer one"
    return "ok", text, ""


def _programs(installed: Installation) -> Iterator[Finding]:
    suite = installed.suite
    expected = [
        one
        for one in tool_names(suite.name)
        if (tool := read_tool(suite.name, one)) and _has(suite, tool.since, tool.until, installed.release)
    ]
    missing = [one for one in expected if installed.program(one) is None]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        text = f"{len(missing)} of {len(expected)} are missing: {', '.join(missing[:_NAMED])}{more}"
        yield Finding(suite.name, "programs", "warning", text, f"install {suite.title} whole: {suite.obtain}")
    else:
        yield Finding(suite.name, "programs", "ok", f"all {len(expected)} that daxa calls")
    # Other programs in a container are not looked up.
    if absent := [one for one in suite.others if installed.container is None and installed.program(one) is None]:
        remedy = "set up HEASoft before it, in the same init of your configuration"
        yield Finding(suite.name, "others", "error", f"its chains need {', '.join(absent)}", remedy)


def _has(suite: Suite, since: str, until: str, release: str) -> bool:
    try:
        return suite.covers(since, until, release)
    except ValueError:  # A release that daxa does not know.
        return True


def _trial(installed: Installation) -> Iterator[Finding]:
    suite = installed.suite
    if suite.trial is None:
        yield Finding(suite.name, "trial", "note", "it has no known call that needs no data", "process one observation")
        return
    with tempfile.TemporaryDirectory(prefix="daxa-doctor-") as name:
        ran = _run_trial(installed, suite.trial, Path(name).resolve())
        summary = f"{suite.trial['tool']} ended with status {ran.status} in {ran.seconds:.1f} s"
        if ran.verdict.code:
            text = f"{summary}: {ran.verdict.code}: {ran.verdict.text}"[:400]
            yield Finding(suite.name, "trial", "error", text, ran.verdict.remedy or _by_hand(suite))
            return
        yield Finding(suite.name, "trial", "ok", summary)
        index = Path(name).resolve() / "work" / suite.trial.get("calindexset", "none")
        if index.is_file():
            yield Finding(suite.name, "index", "ok", f"of its calibration files: {index_identity(index)}")


def _run_trial(installed: Installation, trial: Mapping[str, str], place: Path) -> Ran:
    work = place / "work"
    work.mkdir()
    _write_list(work / "trial.fits")
    values = {name: value for name, value in trial.items() if name != "tool"}
    release = installed.release
    call = make_call(installed_tool(installed, trial["tool"]), release, values)
    return run_call(call, installed, cwd=work, logs=place / "logs", name="trial", seconds=_SECONDS)


def _write_list(path: Path) -> None:
    """A table of three rows."""
    import numpy as np
    from astropy.io import fits

    times = fits.Column("TIME", "D", array=np.arange(3.0))
    fits.BinTableHDU.from_columns([times], name="EVENTS").writeto(path)


def _by_hand(suite: Suite) -> str:
    return f"run it by hand in a shell in which {suite.title} is set up, and install it again if it fails there, too"


def _calibration(installed: Installation, latest: date | None) -> Iterator[Finding]:
    """Which calibration files there are, and whether they are older than the observations."""
    suite, environ = installed.suite, installed.environ
    variable = next((one for one in suite.calibration if environ.get(one)), "")
    if not variable:
        text = f"{' or '.join(suite.calibration)} is not set"
        yield Finding(suite.name, "calibration", "error", text, suite.obtain_calibration)
        return
    if installed.container:
        text = f"{variable} is {environ[variable]}, in the container"
        yield Finding(suite.name, "calibration", "note", text, "a call shows whether the files are there")
        return
    if (indices := _indices_of(suite, environ)) is None:
        files = [path for one in environ[variable].split(":") if one for path in _plain_files(Path(one))]
        text = f"{len(files)} files in {environ[variable]}"
    else:
        files = [path for path in indices.values() if path.is_file()]
        text = f"{len(files)} of {len(indices)} instruments in {environ[variable]}"
    if not files:
        yield Finding(suite.name, "calibration", "error", text, suite.obtain_calibration)
        return
    newest = max(map(_date_of, files))
    text = f"{text}, the newest of {newest}"
    if latest and newest < latest:
        days = (latest - newest).days
        text = f"{text}: {days} days before the latest observation of this archive ({latest})"
        yield Finding(suite.name, "calibration", "warning", text, f"update them: {suite.obtain_calibration}")
    else:
        yield Finding(suite.name, "calibration", "ok", text)
    built = built_on(installed) if suite.name == "sas" else None
    if built and newest > built + _AHEAD:
        text = f"{suite.title} {installed.release} was built on {built}, and the newest calibration file is of {newest}"
        remedy = "install a newer release: it may not know newer files, and give wrong results without a message"
        yield Finding(suite.name, "age", "warning", text, f"{remedy}; {suite.obtain}")


def _indices_of(suite: Suite, environ: Mapping[str, str]) -> dict[tuple[str, str], Path] | None:
    """The index files of a CALDB; None for suites with another kind of calibration files."""
    if "CALDBCONFIG" not in suite.environment:
        return None
    return caldb_indices(environ)[1]


def _plain_files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.is_file())
    except OSError:
        return


def _date_of(path: Path) -> date:
    """Date of a file: from its header (a CCF) or name (an index is a link to a dated file), else when it was changed.

    A copy is as old as what was copied, not as when that was done.
    """
    if path.suffix.lower() == ".ccf" and (submitted := submission_date(path)):
        return date.fromisoformat(submitted[:10])
    if found := _DATED.search(path.resolve().name):
        try:
            return date(*map(int, found.groups()))
        except ValueError:
            pass
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()


def _latest(suite: str, layout: Layout, config: ArchiveConfig | None) -> date | None:
    """Start of the latest observation that an archive processes with the suite."""
    if config is None:
        return None
    from daxa.selection.selection_file import read_selection

    steps = steps_of(config)
    starts: list[float] = []
    for mission in config.missions:
        table = load_parameters(layout, mission, [step.name for step in steps])
        if any(backend_of_step(table, step, steps) == suite for step in steps if not step.fetches):
            found = read_selection(layout.selection(mission))["start"].dropna()
            starts += [float(found.max())] if len(found) else []
    return _MJD + timedelta(days=int(max(starts))) if starts else None
