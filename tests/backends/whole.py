"""Whole archives that mission software processes on stand-ins: raw files that are there, steps, releases."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daxa.archive.accepted_calibration import accept_calibration, other_calibration
from daxa.archive.chosen_backends import choose_backends
from daxa.archive.config import FETCH_SOFTWARE, ArchiveConfig, load_config
from daxa.archive.create import provided
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.backends import find_backend
from daxa.missions import find_mission
from daxa.missions.tiling import tile_at
from daxa.run.prepared_stage import Stage
from daxa.run.steps import OWN_STEPS
from daxa.simulator.raw import RAW, ROW
from daxa.simulator.sky import CENTRE
from daxa.stages import step as step_module
from tests.stages.archives import choose, run_here
from tests.stubs.odf import write_odf

_MAKE_STAGE = step_module.make_stage


@dataclass(frozen=True)
class Suite:
    """How one suite is tried.

    Parameters
    ----------
    name, backends
        Its name, and what ``daxa init --backend`` is given.
    mission, ids, instruments
        Two observations of one mission; the raw files of the first stand for those of the second.
    tables
        Step to lines of its params file that save time.
    failing
        A step, one of its links, and the link's tool: that which fails.
    codes
        How it fails, to the last word of the code; '' where that is no failure.
    """

    name: str
    backends: tuple[str, ...]
    mission: str
    ids: tuple[str, str]
    instruments: str
    tables: Mapping[str, str]
    failing: tuple[str, str, str]
    codes: Mapping[str, str]


class Sources:
    """In place of the fetch step's work: raw files from directories on this machine, under the name of the ObsID."""

    def __init__(self, place: Path, suite: Suite) -> None:
        self.place, self.suite = place, suite

    def __call__(self, task, target, log) -> None:
        first = self.suite.ids[0]
        inputs = find_backend(self.suite.name).inputs(find_mission(self.suite.mission))
        for path in sorted(path for path in self.place.rglob("*") if path.is_file()):
            inside = path.relative_to(self.place).as_posix()
            if any(one.regex(first).fullmatch(inside) for one in inputs):
                name = target / inside.replace(first, task.obs_id)
                name.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, name)


@dataclass(frozen=True)
class Whole:
    """An archive of one suite."""

    suite: Suite
    layout: Layout
    sources: Sources

    @classmethod
    def make(cls, root: Path, suite: Suite, place: Path, ids: Sequence[str] = ()) -> Whole:
        """As ``daxa init --backend`` makes it, with the calibration that is there; everything is fetched."""
        spec, layout = find_mission(suite.mission), Layout(root)
        tables = choose_backends(suite.backends, [spec], OWN_STEPS)[suite.mission]
        software = [
            (step.name, FETCH_SOFTWARE if step.fetches else provided(spec, step, OWN_STEPS, tables))
            for step in OWN_STEPS
        ]
        for path, content in render("a907", [MissionAnswers(spec, {"obs_id": [*suite.ids]}, software, tables)]).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(_with(content, suite.tables) if path.startswith("params/") else content)
        subprocess.run(["git", "init", "-q", root], check=True)
        choose(layout, ids or suite.ids, suite.mission, instruments=suite.instruments)
        made = cls(suite, layout, Sources(place, suite))
        accept_calibration(layout, other_calibration(layout, load_config(layout)))
        made.run("fetch")
        return made

    def stage(self, step: str) -> Stage:
        return self.stage_of(self.layout, load_config(self.layout), step, self.suite.mission)

    def stage_of(self, layout: Layout, config: ArchiveConfig, step: str, mission: str) -> Stage:
        """A stage whose files are there, and whose tasks are done one after the other."""
        stage = replace(_MAKE_STAGE(layout, config, step, mission), workers=1)
        return replace(stage, work=self.sources) if step == "fetch" else stage

    def run(self, step: str) -> dict[str, tuple[str, str]]:
        return {one.obs_id: (one.status, one.reason) for one in run_here(self.stage(step))}

    def run_all(self) -> None:
        for step in STEPS[1:]:
            outcomes = self.run(step)
            assert {status for status, _ in outcomes.values()} <= {"done", "kept"}, (step, outcomes)

    def contents(self) -> dict[str, bytes]:
        """All products and ledgers."""
        root = self.layout.root
        places = (root / "data", root / "ledger")
        files = [path for place in places for path in place.rglob("*") if path.is_file() and path.suffix != ".part"]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _with(text: str, tables: Mapping[str, str]) -> str:
    """A params file with more lines in some tables, in place of those of the same keys."""
    for step, lines in tables.items():
        for line in lines.splitlines():
            key = line.partition(" = ")[0]
            head, mark, rest = text.partition(f"\n[{step}]\n")
            own, following, others = rest.partition("\n[")
            own = re.sub(rf"(?m)^{re.escape(key)} = .*\n?", "", own)
            text = f"{head}{mark}{line}\n{own}{following}{others}"
    return text


def raw_files(suite: Suite, trees: Sequence[Path], scratch: Path) -> Path:
    """The directory with the raw files of a suite's first observation; those of XMM-Newton are made of its lists."""
    inside = find_mission(suite.mission).directory_of(suite.ids[0], ROW)
    (place,) = (tree / inside for tree in trees if (tree / inside).is_dir())
    if suite.name != "sas":
        return place
    lists = scratch / "lists"
    lists.mkdir(parents=True)
    for path in (place / "PPS").iterdir():
        if re.search(r"ATTTSR|M1.{4}MIEVLI", path.name):
            shutil.copy(path, lists)
    write_odf(lists, scratch / "raw" / "ODF")
    return scratch / "raw"


_TILE = RAW["erass1"]
_COMMON = {
    "noEnd": "noSuccess",
    "silent": "status1",
    "outputsMissing": "outputMissing",
    "outputsStale": "outputMissing",  # What an earlier call left is removed before the call.
    "outputsEmpty": "outputEmpty",
    "truncated": "outputUnreadable",
    "writesInput": "inputChanged",
    "crash": "crashed",
    "hang": "timeLimit",
    "warning": "",
}
SUITES = {
    one.name: one
    for one in (
        Suite(
            "sas",
            ("sas", "images=native", "sources=native"),
            "xmm",
            ("0900000201", "0900000202"),
            "M1",
            {"images": 'bands = ["0.5-2.0 keV"]', "sources": 'search = "none"'},
            ("clean", "evselect", "evselect"),
            {
                **_COMMON,
                **dict.fromkeys(("errorAndOne", "errorAndZero"), "noCounts"),
                "noEnd": "notEnded",
                "manyLines": "IllegalIdentifier",
                "nested": "zeroRenorm",
            },
        ),
        Suite(
            "esass",
            ("esass",),
            "erass1",
            (_TILE, tile_at(CENTRE[0] + 4.0, CENTRE[1]).obs_id),
            "TM1",
            {
                "images": 'bands = ["0.2-2.3 keV"]\nesass = { evtool = { size = ["500", "500"], '
                'center_position = "149.591 -11.064" } }'
            },
            ("clean", "evtool", "evtool"),
            {
                **_COMMON,
                **dict.fromkeys(("errorAndOne", "errorAndZero", "manyLines"), "stop"),
                "nested": "endOfRecord",
            },
        ),
        Suite(
            "ciao",
            ("ciao",),
            "chandra",
            (RAW["chandra"], "90004"),
            "ACIS",
            {"images": 'bands = ["0.5-2.0 keV"]'},
            ("clean", "screen", "dmcopy"),
            {
                **_COMMON,
                **dict.fromkeys(("errorAndOne", "errorAndZero"), "dsnoCountsERR"),
                "noEnd": "",  # It never says that it has succeeded.
                "manyLines": "dsIllegalIdentifierERR",
                "nested": "dsREADERR",
            },
        ),
        Suite(
            "heasoft",
            ("heasoft",),
            "nustar",
            (RAW["nustar"], "90900004002"),
            "FPMA",
            {"events": 'maps = ["3.0-10.0 keV"]', "images": 'bands = ["3.0-10.0 keV"]', "sources": 'search = "none"'},
            ("events", "nupipeline", "nupipeline"),
            {**_COMMON, **dict.fromkeys(("errorAndOne", "errorAndZero", "manyLines", "nested"), "error")},
        ),
    )
}
