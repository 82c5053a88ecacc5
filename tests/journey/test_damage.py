"""Wrong data are noticed: by the next repro, by verify, before use."""

from __future__ import annotations

import json
import os

import pytest

from tests.journey.workbench import contents

pytestmark = pytest.mark.journey


def same_size_other_content(path):
    """Put another version in the file's place: size and time of change are the same."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    other = path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.chmod(stat.st_mode)
    other.replace(path)


DAMAGES = {
    "replaced": same_size_other_content,
    "deleted": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "stray": lambda path: (path.parent / "stray.fits").write_bytes(b"stray"),
}


def problems(bench, archive):
    ended = bench.daxa("verify", "--json", cwd=archive, ok=False)
    assert ended.returncode in (0, 7), ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])["problems"]


def test_damaged_products_are_named_and_made_again(copy, bench):
    archive = copy()
    products = ("data/xmm/events", "data/xmm/clean", "data/xmm/images", "data/nustar/clean", "ledger")
    before = contents(archive, *products)
    # Each in a stage of its own, so that none is found by the light of another.
    victims = {
        "replaced": min((archive / "data/xmm/clean").rglob("*finalevents.fits")),
        "truncated": min((archive / "data/xmm/events").rglob("*events.fits")),
        "deleted": min((archive / "data/nustar/clean").rglob("*finalevents.fits")),
        "stray": min((archive / "data/xmm/images").rglob("*image.fits")),
    }
    for kind, path in victims.items():
        DAMAGES[kind](path)
    named = json.dumps(problems(bench, archive))
    for kind, path in victims.items():
        assert (path.name if kind != "stray" else "stray.fits") in named
    refused = bench.repro(archive, ok=False)
    assert refused.returncode
    stray = victims["stray"].with_name("stray.fits")
    assert str(stray) in refused.stderr + refused.stdout
    stray.rename(bench.root / "stray.fits")
    bench.repro(archive)
    assert contents(archive, *products) == before
    assert problems(bench, archive) == []


def test_a_damaged_store_file_is_never_used(copy, bench, observatory):
    archive = copy()
    before = contents(archive, "data/xmm/events", "ledger")
    for path in (bench.root / "store").rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            same_size_other_content(path)
    for directory in ("fetch", "events"):
        bench.run("chmod", "-R", "u+w", str(archive / "data/xmm" / directory))
        bench.run("rm", "-rf", str(archive / "data/xmm" / directory))
    bench.repro(archive)
    assert contents(archive, "data/xmm/events", "ledger") == before
    assert any("EVLI" in request.path for request in observatory.requests), "nothing was fetched again"
