"""DVC itself shows what changed from one version to the next, in numbers and as a plot, without anything of ours."""

from __future__ import annotations

import json
from dataclasses import replace

from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import canonical
from tests.publish.workshop import FIRST, THIRD, run


def measure(shop, good: float, events: int, sources: int) -> None:
    """Say what two cameras measured of the first XMM observation."""
    one = {"archived": 3e4, "left": {}, "anomalous": [], "flares": "GOOD"}
    exposures = [
        one | {"instrument": "PN", "good": good, "events": events},
        one | {"instrument": "M1\nx,=1", "good": 2e6, "events": 7},
    ]
    measured = {
        "clean": canonical({"exposures": exposures}),
        "sources": canonical([{"instrument": "PN", "sources": sources}]),
    }
    for step, text in measured.items():
        ledger = shop.layout.ledger("xmm", step)
        rows = read_ledger(ledger)
        write_ledger(ledger, (rows | {FIRST: replace(rows[FIRST], measures=text)}).values(), mission="xmm", step=step)


def test_metrics_and_plots_of_two_versions(released):
    root = released.layout.root
    measure(released, 21300.0, 1200, 12)
    released.record()
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "Measured")
    released.process("xmm", [FIRST, THIRD], salts={FIRST: "anew"}, failed={THIRD: "clean"})
    measure(released, 9100.0, 800, 9)
    released.record()
    changed = json.loads(run(root, "dvc", "metrics", "diff", "--json", "HEAD"))["metrics.json"]
    pairs = {name: (one["old"], one["new"]) for name, one in changed.items()}
    of_camera = {
        name: pairs[f"missions.xmm.instruments.PN.{name}"] for name in ("exposure", "counts", "sources", "lost")
    }
    assert of_camera == {
        "exposure": (21300.0, 9100.0),
        "counts": (1200, 800),
        "sources": (12, 9),
        "lost": (0.29, 0.696667),
    }
    assert pairs["missions.xmm.steps.clean.failed"] == (0, 1)
    assert pairs["missions.xmm.clean.exposure"] == (2021300.0, 2009100.0)
    drawn = run(
        root,
        *("dvc", "plots", "diff", "--json", "HEAD", "--targets", "report/exposures.csv"),
        *("-t", "bar_horizontal", "-x", "exposures", "-y", "clean_exposure_ks"),
    )
    (plot,) = json.loads(drawn)["data"]["report/exposures.csv"]
    assert {"HEAD", "workspace"} <= set(plot["revisions"])
    assert (released.layout.report / "exposures.csv").read_text() == (
        "clean_exposure_ks,mission,instrument,exposures\n5-10,xmm,PN,1\nover 1000,xmm,unknown,1\n"
    )
