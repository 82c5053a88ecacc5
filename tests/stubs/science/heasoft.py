"""Work of HEASoft."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stubs import lists
from tests.stubs.grammar import is_on

if TYPE_CHECKING:
    from tests.stubs.program import Run

Problem = tuple[str, str] | None


def nupipeline(run: Run) -> Problem:
    source, target = Path(run.values["indir"]), Path(run.values["outdir"])
    raw = sorted(source.glob("event_uf/*_uf.evt*"))
    if not raw:
        return None
    if target.exists() and any(target.iterdir()) and not is_on(run.values["clobber"]):
        return "ERROR", f"{target} is not empty and clobber is no"
    wanted = {"FPMA": "A", "FPMB": "B"}.get(run.values["instrument"], "AB")
    for path in raw:
        found = re.fullmatch(r"(nu\d+)([AB])_uf\.evt(?:\.gz)?", path.name)
        if not found or found[2] not in wanted:
            continue
        parts = lists.read(path)
        lists.write(parts, target / f"{found[1]}{found[2]}_uf.evt")
        if run.values["exitstage"] == "1":
            continue
        columns = lists.columns_of(lists.table_of(parts))
        if "STATUS" in columns:
            lists.keep_rows(parts, columns["STATUS"] == 0)
        lists.write(parts, target / f"{found[1]}{found[2]}01_cl.evt")
        empty = "06" if found[2] == "A" else "02"
        print(f"nupipeline: WARNING No Filtered Level 2 Event File created for Observing Mode '{empty}'")
    return None
