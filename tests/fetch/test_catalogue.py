"""The archive's own checksums: `cksum` is the oracle."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.fetch.catalogue import posix_cksum
from daxa.fetch.locations import ObservationRef
from daxa.fetch.observation import fetch_observation
from daxa.missions import find_mission
from daxa.settings import load_settings
from daxa.simulator.server import Observatory
from tests.fetch.conftest import HASTE, events_file, tree

NUSTAR = find_mission("nustar")
OBS = "30101031002"
NAMES = [f"nu{OBS}{letter}01_cl.evt.gz" for letter in "AB"]
OLD, NEW = 1_500_000_000, 1_700_000_000


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 1_200_000])
def test_the_checksum_is_that_of_cksum(tmp_path, size):
    if shutil.which("cksum") is None:
        pytest.skip("there is no cksum here")
    file = tmp_path / "file"
    file.write_bytes(np.random.default_rng(size).bytes(size))
    said = subprocess.run(["cksum", file], capture_output=True, text=True, check=True).stdout
    assert posix_cksum(file) == int(said.split()[0])


def catalogue(sums: dict[str, int], form: str = "K") -> bytes:
    numbers = np.array(list(sums.values()), dtype=np.uint32).astype(np.int32 if form == "J" else np.int64)
    columns = [
        fits.Column("FILENAME", "60A", array=list(sums)),
        fits.Column("CHECKSUM", form, array=[str(one) for one in sums.values()] if form.endswith("A") else numbers),
    ]
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="CATALOG")]).writeto(out)
    return gzip.compress(out.getvalue(), mtime=0)


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    place = root / NUSTAR.directory_of(OBS)
    (place / "event_cl").mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        (place / "event_cl" / name).write_bytes(events_file(seed, 200, OBS))
        os.utime(place / "event_cl" / name, (OLD, OLD))
    with Observatory(root, {}) as running:
        yield running, place


@pytest.fixture
def fetch(sky, tmp_path):
    running, _ = sky
    settings = load_settings(environ={**running.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)

    def run() -> list[str]:
        log: list[str] = []
        fetch_observation(
            ObservationRef(NUSTAR, OBS),
            ["FPMA", "FPMB"],
            (),
            target=tmp_path / "out",
            parts=tmp_path / "parts",
            settings=settings,
            patience=HASTE,
            say=log.append,
        )
        assert len(tree(tmp_path / "out")) == 2
        return log

    return run


def plant(place, content: bytes, when: int, name: str = f"nu{OBS}.cat.gz") -> None:
    for old in place.glob("*cat*"):
        old.unlink()
    (place / name).write_bytes(content)
    os.utime(place / name, (when, when))


def sums(place, prefix: str = "event_cl/") -> dict[str, int]:
    return {prefix + name: posix_cksum(place / "event_cl" / name) for name in NAMES}


@pytest.mark.parametrize(("prefix", "form"), [("event_cl/", "K"), ("", "12A"), ("./event_cl/", "J")])
def test_what_the_catalogue_records_is_taken(sky, fetch, prefix, form):
    plant(sky[1], catalogue(sums(sky[1], prefix), form), NEW)
    assert not any("checksum" in line for line in fetch())


@pytest.mark.parametrize("name", [f"nu{OBS}.cat.gz", f"nu{OBS}_cat.fits.gz"])
def test_what_differs_from_a_newer_catalogue_is_refused(sky, fetch, name):
    plant(sky[1], catalogue(sums(sky[1]) | {f"event_cl/{NAMES[1]}": 12345}), NEW, name)
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == "data.checksum"
    assert NAMES[1] in caught.value.message
    assert "12345" in caught.value.message


def test_files_that_are_newer_than_their_catalogue_are_taken_and_named(sky, fetch):
    plant(sky[1], catalogue(sums(sky[1]) | {f"event_cl/{NAMES[1]}": 12345}), OLD - 1000)
    assert [line for line in fetch() if "newer than the archive's catalogue" in line]


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", gzip.compress(b"x", mtime=0), catalogue({})[:200], gzip.compress(bytes(9), mtime=0)],
    ids=["empty", "page", "packed text", "cut", "packed zeros"],
)
def test_a_catalogue_that_cannot_be_read_is_named_and_stops_nothing(sky, fetch, content):
    plant(sky[1], content, NEW)
    (line,) = [line for line in fetch() if "checksums cannot be read" in line]
    assert f"nu{OBS}.cat.gz is not a FITS table" in line


def test_what_goes_wrong_before_a_catalogue_is_found_is_not_taken_for_a_damaged_one(sky, fetch, monkeypatch):
    def fail(*_):
        raise OSError("nothing is listed")

    monkeypatch.setattr("daxa.fetch.catalogue.list_directory", fail)
    with pytest.raises(OSError, match="nothing is listed"):
        fetch()
