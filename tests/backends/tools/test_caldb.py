"""A new file in a CALDB concerns the observations that would use it, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.chains import ChainBackend
from daxa.backends.tools import capture
from daxa.backends.tools.caldb import read_index, used_identity
from daxa.backends.tools.environment import Installation
from daxa.backends.tools.reading import read_suite
from daxa.errors import ProgramError
from daxa.run.task import Task, canonical
from tests.stubs.install import CALIBRATED

GAIN = ("FPMA", "GAIN")
BEFORE, AFTER = 56000.0, 58000.0
ROWS = [
    (*GAIN, "gain1.fits", 1, 55000.0, 0),
    (*GAIN, "gain2.fits", 1, 57000.0, 0),
    ("FPMB", "GAIN", "gainb.fits", 1, 55000.0, 0),
    ("FPMA", "BADPIX", "bad1.fits", 1, 0.0, 0),
]


def write_index(path: Path, rows: list[tuple]) -> None:
    """An index file as the standard has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [
        fits.Column("TELESCOP", "10A", array=["NUSTAR"] * len(rows)),
        fits.Column("INSTRUME", "10A", array=[row[0] for row in rows]),
        fits.Column("CAL_CNAM", "20A", array=[row[1] for row in rows]),
        fits.Column("CAL_CBD", "140A", dim="(70,2)", array=[["ENERG(1-2)keV", "NONE"]] * len(rows)),
        fits.Column("CAL_FILE", "40A", array=[row[2] for row in rows]),
        fits.Column("CAL_XNO", "I", array=[row[3] for row in rows]),
        fits.Column("REF_TIME", "D", array=[row[4] for row in rows]),
        fits.Column("CAL_QUAL", "I", array=[row[5] for row in rows]),
        fits.Column("CAL_DATE", "8A", array=["30/11/26"] * len(rows)),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="CIF")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


@pytest.fixture
def caldb(tmp_path):
    """Writes the index of a CALDB with some rows; its environment."""

    def write(rows: list[tuple], place: str = "one") -> dict[str, str]:
        root = tmp_path / place
        write_index(root / "fpm" / "caldb.indx", rows)
        (root / "caldb.config").write_text("NUSTAR FPM CALDB fpm caldb.indx CALDB fpm\n")
        return {"CALDB": str(root), "CALDBCONFIG": str(root / "caldb.config")}

    return write


def identity(environ, start=BEFORE, end=None, others=()) -> str:
    return used_identity(environ, ["nustar"], others, (start, end))


CHANGES = {
    # What changes: whether an early and a late observation, with FPMA alone, use other files.
    "a file for late observations": ([*ROWS, (*GAIN, "gain3.fits", 1, 57500.0, 0)], False, True),
    "a file for early observations": ([*ROWS, (*GAIN, "gain0.fits", 1, 55500.0, 0)], True, False),
    "a file before all": ([*ROWS, (*GAIN, "gain0.fits", 1, 50000.0, 0)], False, False),
    "another issue of the first file": ([(*GAIN, "gain1v2.fits", 1, 55000.0, 0), *ROWS[1:]], True, False),
    "another extension of the second": ([ROWS[0], (*GAIN, "gain2.fits", 2, 57000.0, 0), *ROWS[2:]], False, True),
    "a file withdrawn": ([(*ROWS[0][:5], 5), *ROWS[1:]], True, False),
    "a file of bad quality": ([*ROWS, (*GAIN, "bad.fits", 1, 55900.0, 5)], False, False),
    "another file for all": ([*ROWS[:3], ("FPMA", "BADPIX", "bad2.fits", 1, 0.0, 0)], True, True),
    "a file of a kind that was not there": ([*ROWS, ("FPMA", "ARF", "arf.fits", 1, 0.0, 0)], True, True),
    "a file of another module": ([*ROWS, ("FPMB", "GAIN", "gainb2.fits", 1, 55001.0, 0)], False, False),
    "another order": (ROWS[::-1], False, False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_observations_that_would_use_a_file_are_concerned(caldb, what):
    rows, early, late = CHANGES[what]
    one, two = caldb(ROWS), caldb(rows, "two")
    for start, concerned in ((BEFORE, early), (AFTER, late)):
        assert (identity(one, start, others=["FPMB"]) != identity(two, start, others=["FPMB"])) == concerned, start
    if "module" in what:
        assert identity(one) != identity(two), "with both modules it counts"


def test_an_observation_during_which_a_file_begins_uses_both(caldb):
    with_third = [*ROWS, (*GAIN, "gain3.fits", 1, 57500.0, 0)]
    one, two = caldb(ROWS), caldb(with_third, "two")
    assert identity(one, 57400.0, 57600.0) != identity(two, 57400.0, 57600.0)
    assert identity(one, 57499.5) != identity(two, 57499.5), "starts in tables differ by hours"
    assert identity(one, 57498.5) == identity(two, 57498.5)
    # Without a time, everything counts.
    for unknown in (None, float("nan")):
        assert identity(one, unknown) != identity(two, unknown)


def test_the_rule_agrees_with_one_that_looks_at_every_moment(caldb):
    random = np.random.default_rng(3)
    kinds = [("FPMA", name) for name in "ABC"]
    for turn in range(20):
        rows = [
            (
                *kinds[random.integers(3)],
                f"{at}.fits",
                1,
                float(random.integers(0, 12) * 10),
                int(random.random() < 0.2),
            )
            for at in range(15)
        ]
        environ = caldb(rows, str(turn))
        found = {}
        for start in range(5, 130, 10):
            used = set()
            for kind in kinds:
                good = [row for row in rows if row[:2] == kind and not row[5] and row[4] <= start + 1]
                used |= {row for row in good if row[4] == max(one[4] for one in good)}
            assert found.setdefault(frozenset(used), identity(environ, start)) == identity(environ, start)
        assert len(set(found.values())) == len(found)


def test_an_index_that_cannot_be_read_counts_by_its_content(caldb):
    environ = caldb(ROWS)
    path = Path(environ["CALDB"]) / "fpm" / "caldb.indx"
    digests = set()
    for content in (b"text", b"other", path.read_bytes()[:3000]):
        path.write_bytes(content)
        assert read_index(path) is None
        digests.add(identity(environ))
    assert len(digests) == 3
    assert used_identity(environ, ["SWIFT"]) == ""
    with pytest.raises(ProgramError):
        used_identity({"CALDB": "https://example.org/caldb"}, ["NUSTAR"])


def test_the_identity_of_a_task_follows_its_mission_times_and_instruments(tmp_path, monkeypatch):
    """Of every suite with a CALDB; other missions, and data of NICER's geomagnetic field, do not concern it."""
    root = tmp_path / "calibration"
    for mission, instrument in CALIBRATED.items():
        write_index(root / mission / instrument / "caldb.indx", [(instrument, "GAIN", "gain1.fits", 1, 55000.0, 0)])
    lines = [f"{one} {it} CALDB {one}/{it} caldb.indx CALDB {one}\n" for one, it in CALIBRATED.items()]
    (root / "caldb.config").write_text("".join(lines))
    (root / "geomag").mkdir()
    (root / "geomag" / "kp.fits").write_text("1\n")
    environ = {"CALDB": str(root), "CALDBCONFIG": str(root / "caldb.config"), "GEOMAG_PATH": str(root / "geomag")}
    tasks = {
        ("heasoft", "nustar"): ("NUSTAR", ["FPMA", "FPMB"]),
        ("heasoft", "nicer"): ("NICER", ["XTI"]),
        ("ciao", "chandra"): ("CHANDRA", ["ACIS"]),
        ("esass", "erass1"): ("EROSITA", ["TM1"]),
    }

    def identities(start: float) -> dict[str, str]:
        found = {}
        for (suite, mission), (_, instruments) in tasks.items():
            installed = Installation(read_suite(suite), read_suite(suite).releases[-1], environ)
            monkeypatch.setattr(capture, "find_installation", lambda name, installed=installed: installed)
            facts, row = canonical({"instruments": instruments}), canonical({"row": {"start": start}})
            backend = find_backend(suite)
            version = backend.version(mission, "events")
            found[mission] = backend.calibration(Task(mission, "events", "1", suite, version, "{}", facts, origin=row))
        return found

    early, late = identities(BEFORE), identities(AFTER)
    assert early == late
    for (_, mission), (name, _) in tasks.items():
        instrument = CALIBRATED[name]
        more = [(instrument, "GAIN", f"gain{at}.fits", 1, since, 0) for at, since in ((1, 55000.0), (2, 57000.0))]
        write_index(root / name / instrument / "caldb.indx", more)
        now, then = identities(AFTER), identities(BEFORE)
        assert then == early, name
        assert {one for one in now if now[one] != late[one]} == {mission}
        late = now
    (root / "geomag" / "kp.fits").write_text("2, newer\n")
    assert {one for one, text in identities(AFTER).items() if text != late[one]} == {"nicer"}


@pytest.mark.parametrize("since", [np.nan, np.inf, -np.inf])
def test_a_begin_that_is_no_number_hides_no_file(caldb, since):
    """Numbers that have no order would leave out the files that are listed after them."""
    rows = [(*GAIN, "odd.fits", 1, since, 0), *ROWS]
    one, two = caldb(rows), caldb([*rows, (*GAIN, "gain3.fits", 1, 57500.0, 0)], "two")
    assert identity(one, AFTER) != identity(two, AFTER)
    # Of bad quality it is never chosen.
    one, two = caldb([(*rows[0][:5], 5), *ROWS], "three"), caldb(ROWS, "four")
    assert identity(one, AFTER) == identity(two, AFTER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"NAXIS2  =                    4", b"NAXIS2  =          99999999999"),
        (b"TFIELDS =                    9", b"TFIELDS =          99999999999"),
        (b"TTYPE1  = 'TELESCOP'", b"TTYPE1  = 12        "),
        (b"TFORM8  = 'I       '", b"TFORM8  = '1Q(-2)  '"),
        (b"TFORM7  = 'D       '", b"TFORM7  = '8A      '"),
        (b"XTENSION= 'BINTABLE'", b"XTENSION= 'IMAGE   '"),
    ],
)
def test_an_index_that_cannot_be_read_counts_by_its_bytes(caldb, old, new):
    environ = caldb(ROWS)
    path = Path(environ["CALDB"], "fpm", "caldb.indx")
    content = path.read_bytes()
    assert old in content
    found = set()
    for end in (b"", b"\0"):
        path.write_bytes(content.replace(old, new) + end)
        assert read_index(path) is None
        found.add(identity(environ))
    assert len(found) == 2


def test_a_caldb_that_changes_while_it_is_read_is_no_bug(caldb, monkeypatch):
    installed = Installation(read_suite("ciao"), read_suite("ciao").releases[-1], caldb(ROWS))
    monkeypatch.setattr(capture, "find_installation", lambda name: installed)

    def gone(*_: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", "gain1.fits")

    backend = find_backend("ciao")
    task = Task("chandra", "events", "1", "ciao", backend.version("chandra", "events"), "{}", "{}", origin="{}")
    changing = ChainBackend(replace(backend.program, calibration=lambda _: "CIAO", used=gone), {})
    with pytest.raises(ProgramError, match=r"cannot be read: .*gain1\.fits"):
        changing.calibration(task)
    located = ChainBackend(replace(backend.program, calibration=gone), {}).locate()
    assert not located.found
    assert "gain1.fits" in located.missing[0]
