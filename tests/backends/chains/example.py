"""A small chain over stand-ins of SAS, and an observation for it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from daxa.backends.chains import CallPlan, Chain, ChainBackend, ChainProduct, Known, Link, Program
from daxa.run.product import Product
from daxa.run.task import Input, ProductFile, Task, canonical
from tests.stubs.fits import write_table

PARTS = ("M1-S001", "M2-S002")


def _of_each(known: Known) -> list[tuple[str, str]]:
    return [(path.removesuffix(".fits"), path) for path in known.inputs]


def _filter(known: Known) -> list[CallPlan]:
    return [CallPlan({"table": path, "filteredset": f"{part}-f.fits"}, part) for part, path in _of_each(known)]


def _curve(known: Known) -> list[CallPlan]:
    return [
        CallPlan({"table": path, "rateset": f"{part}-rate.fits"}, part)
        for part, path in known.outputs("filter", "filtered")
    ]


def _gti(known: Known) -> list[CallPlan]:
    return [
        CallPlan({"table": path, "gtiset": f"{part}-gti.fits"}, part)
        for part, path in known.outputs("curve", "lightcurve")
    ]


def _merge(known: Known) -> list[CallPlan]:
    first, *rest = [path for _, path in known.outputs("filter", "filtered")]
    return [CallPlan({"set1": first, "set2": other, "outset": "all.fits"}) for other in rest]


def _products(known: Known) -> list[ChainProduct]:
    found = []
    for kind, (link, output) in {"finalevents": ("filter", "filtered"), "gti": ("gti", "gti")}.items():
        for part, path in known.outputs(link, output):
            instrument, _, exposure = part.partition("-")
            name = Product(known.task.obs_id, instrument, exposure, kind).name
            found.append(ChainProduct(path, name, {"CLEANED": (True, "by a stand-in")}))
    return found


CHAIN = Chain(
    missions=("xmm",),
    step="clean",
    version="1",
    links=(
        Link(
            "filter", "evselect", _filter, "filters", {"expression": "PI > 300"},
            wired=("table", "filteredset", "withfilteredset", "keepfilteroutput"),
        ),
        Link("curve", "evselect", _curve, "light curve", {"timebinsize": 10}, wired=("table", "rateset")),
        Link("gti", "tabgtigen", _gti, "good times", {"expression": "RATE < 100"}, wired=("table", "gtiset")),
        Link("merge", "merge", _merge, "adds lists", {}, wired=("set1", "set2", "outset"), seconds=60.0),
    ),
    products=_products,
)  # fmt: skip


class Bench:
    """An observation with two lists, and its tasks."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, []
        (root / "events").mkdir()
        for at, part in enumerate(PARTS):
            times = [100.0 * at + second for second in range(30)]
            energies = [200.0 + 40 * second for second in range(30)]
            write_table(root / "events" / f"{part}.fits", "EVENTS", {"TIME": times, "PI": energies}, gti=[(0.0, 200.0)])
        self.backend = ChainBackend(Program("sas", (CHAIN,)), {})

    def task(self, **parameters: object) -> Task:
        inputs = tuple(
            Input(
                "events", ProductFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest(), "")
            )
            for path in sorted((self.root / "events").iterdir())
        )
        facts = canonical({"instruments": ["M1", "M2"]})
        return Task("xmm", "clean", "0404910601", "sas", "1", canonical(parameters), facts, inputs)

    def run(self, **parameters: object) -> tuple[list[str], str]:
        """Names of the products and the log of one attempt; `calls` has the links whose tools ran."""
        target, log = self.root / f"target{len(list(self.root.iterdir()))}", io.StringIO()
        target.mkdir()
        self.calls.clear()
        try:
            self.backend.resume(
                self.task(**parameters), {"events": self.root / "events"}, target, log, self.work_directory
            )
        finally:
            self.log = log.getvalue()
        return sorted(path.name for path in target.iterdir()), self.log

    @property
    def work_directory(self) -> Path:
        return self.root / "work"
