"""The page of SAS says what daxa sets, and what stands beside each step of the reference."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from daxa.backends.chains.tool_settings import tool_values
from daxa.backends.sas import SAS
from daxa.backends.sas.clean import CLEAN
from daxa.backends.tools.command import arguments, make_call
from daxa.backends.tools.reading import read_suite, read_tool
from daxa.backends.tools.values import write_value
from daxa.quantities import normalise
from daxa.run.machine import Machine, choose_next

PAGE = (Path(__file__).parents[3] / "docs" / "sas.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]

REFERENCE = (
    *("cif_build", "odf_ingest", "parse_odf_sum", "rgs_events", "rgs_angles", "cleaned_rgs_event_lists", "epchain"),
    *("emchain", "emanom", "espfilt", "cleaned_evt_lists", "merge_subexposures", "generate_images_expmaps"),
    *("full_process_xmm", "preprocessed_in_archive"),
)
"""Functions of DAXA 0.3.7 for XMM-Newton."""


def section(step: str) -> str:
    return PAGE.partition(f"\n### {step}\n")[2].partition("\n##")[0]


@pytest.mark.parametrize("chain", SAS.program.chains, ids=lambda chain: chain.step)
def test_every_link_and_every_default_is_named(chain):
    rows = [line for line in section(chain.step).splitlines() if line.startswith("|")]
    for link in chain.links:
        own = " ".join(row for row in rows if f"`{link.name}`" in row.split("|")[1])
        assert own, link.name
        forms = {one.name: one for one in read_tool("sas", link.tool).parameters}
        for name, value in link.defaults.items():
            text = write_value(forms[name], value).removesuffix(".0")
            assert f"{name}={text}" in re.sub(r"\.0\b", "", own), (link.name, name, text)


def test_every_step_of_the_reference_has_its_counterpart():
    table = [row for row in ROWS if len(row) == 3 and row[0] not in ("there", "---")]
    for name in REFERENCE:
        rows = [row for row in table if f"`{name}`" in row[0]]
        assert rows, name
        assert all(rows[0][1:]), name


def test_the_example_is_accepted_and_its_values_reach_the_task():
    """``[clean.sas.espfilt] allowsigma = 2.5`` for all, and another value for one observation."""
    tables = tomllib.loads(PAGE.partition("```toml\n")[2].partition("```")[0])
    overrides = {step: table.pop("obs", {}) for step, table in tables.items()}
    espfilt = next(link for link in CLEAN.links if link.name == "espfilt")
    given = [tables["clean"], overrides["clean"]["0404910601"]]
    for table, value in zip(given, ("2.5", "3.5"), strict=True):
        values = {key: one for key, one in normalise(table).items() if key != "backend"}
        assert SAS.check("xmm", {"clean": values}) == []
        made = tool_values("sas", espfilt, "22.1", values["sas"]["espfilt"], {"eventfile": "events.fits"})
        assert f"allowsigma={value}" in arguments(make_call(read_tool("sas", "espfilt"), "22.1", made))


def test_three_emchains_of_two_gigabytes_wait_on_a_machine_of_four():
    need = SAS.resources("xmm", "events")
    machine = Machine(4 << 30, 8)
    assert need.at_once(3, total_memory=machine.memory, total_cores=machine.cores) == 2
    assert choose_next([need], [need], machine) == 0
    assert choose_next([need], [need, need], machine) is None


def test_the_releases_of_the_page_are_those_of_the_tables():
    releases = read_suite("sas").releases
    assert f"the tables know {', '.join(releases[:-1])} and {releases[-1]}" in " ".join(PAGE.split())
