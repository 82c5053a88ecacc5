"""Run the checks, and write `docs/validation.md` and `docs/validation.json`."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.validation import a907, acis, cena, flares, oracles, peers, simulated
from benchmarks.validation.checks import Check, NoDataError
from benchmarks.validation.report import DOCS, read_results, write_results
from daxa.backends.native import NATIVE

CHECKS: tuple[Check, ...] = tuple(
    check for module in (oracles, simulated, acis, peers, a907, cena, flares) for check in module.CHECKS
)

STEPS = ", ".join(f"{step} {NATIVE.version('xmm', step)}" for step in ("events", "clean", "images", "sources"))
"""Versions of the native steps that the figures are of."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 unless a check could not run or broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument(
        "--only", default="", help="names of checks, separated by commas; the others keep their figures"
    )
    parser.add_argument("--list", action="store_true", help="name the checks")
    parser.add_argument("--scale", type=float, default=1.0, help="number of simulated fields, relative to the usual")
    parser.add_argument("--to", type=Path, default=DOCS, help="folder for validation.md and validation.json")
    asked = parser.parse_args(arguments)
    if asked.list:
        print("\n".join(f"{check.name:<18}{check.title}" for check in CHECKS))
        return 0
    names = [name for name in asked.only.split(",") if name] or [check.name for check in CHECKS]
    unknown = sorted(set(names) - {check.name for check in CHECKS})
    if unknown:
        parser.error(f"no check is named {', '.join(unknown)}: --list names them")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    results, failed = read_results(asked.to), 0
    for check in (check for check in CHECKS if check.name in names):
        print(f"{check.name}: {check.title}", file=sys.stderr, flush=True)
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                figures = check.run(asked.scale)
            except NoDataError as absent:
                print(f"  not run: {absent}", file=sys.stderr)
                failed += 1
                continue
        for figure in figures:
            mark = {True: "ok", False: "NO", None: "  "}[figure.met]
            print(f"  {mark} {figure.what}: {figure.measured}" + (f"  [{figure.asked}]" if figure.asked else ""))
        print(f"  {time.process_time() - began:.0f} s of a processor", file=sys.stderr, flush=True)
        results[check.name] = {"steps": STEPS, "figures": [asdict(figure) for figure in figures]}
        write_results(asked.to, CHECKS, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
