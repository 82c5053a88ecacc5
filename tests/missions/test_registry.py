"""Missions of plug-ins: each in a Python of its own that finds a fake distribution installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

GOOD = """
from daxa.missions import Credit, FieldOfView, Instrument, Mirror, MissionSpec, ObservationTable

SPEC = MissionSpec(
    name="lobster",
    title="Lobster",
    aliases=({aliases}),
    table=ObservationTable(name="lobmaster", columns={{}}, proprietary="none"),
    id_pattern=r"[0-9]{{4}}",
    id_example="0042",
    instruments=(Instrument("EYE", FieldOfView("annulus", 90.0, inner=30.0)),),
    default_instruments=({default}),
    mirrors=(Mirror("https://lobster.example/data", "nginx"),),
    directory="lobster/{{obs_id}}",
    credit=Credit(source="https://lobster.example/"),
)
"""

ASK = """
import json, warnings
from daxa.errors import DaxaError
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    try:
        from daxa.missions import find_mission, mission_names
        answer = {"names": mission_names(), "xmm": find_mission("xmm").title}
        if "lobster" in mission_names():
            spec = find_mission("Clawed")
            answer |= {"alias": spec.name, "radius": spec.instruments[0].field_of_view.radius}
    except DaxaError as error:
        answer = {"code": error.code, "message": error.message}
print(json.dumps(answer | {"said": [str(one.message) for one in said]}))
"""


def install(place: Path, distribution: str, module: str, code: str, point: str = "") -> None:
    """What an installer leaves of a distribution with one mission."""
    # A dash in the directory's name would end the distribution's.
    info = place / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[daxa.missions]\n{point or f'lobster = {module}:SPEC'}\n")
    (place / f"{module}.py").write_text(code)


def ask(*places: Path) -> dict:
    path = os.pathsep.join(map(str, (CHECKOUT, *places)))
    ended = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(ended.stdout)


def declared(*, aliases: str = '"clawed",', default: str = '"EYE",') -> str:
    return GOOD.format(aliases=aliases, default=default)


def test_a_plug_in_adds_a_mission(tmp_path):
    install(tmp_path, "lobster-xray", "lobster_xray", declared())
    answer = ask(tmp_path)
    assert answer["names"] == [*sorted(answer["names"][:-1]), "lobster"]
    assert "xmm" in answer["names"]
    assert (answer["alias"], answer["radius"], answer["said"]) == ("lobster", 90.0, [])


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nonexistent_module", "nonexistent_module"),
        ("SPEC = 1 / 0", "division"),
        ("def SPEC(", "SyntaxError"),
        ("OTHER = None", "SPEC"),
        ("SPEC = {'name': 'lobster'}", "not a MissionSpec but dict"),
        (declared(default=""), "narrow instruments"),
    ],
)
def test_a_broken_plug_in_is_left_out_with_a_warning(tmp_path, code, why):
    install(tmp_path, "lobster-xray", "lobster_xray", code)
    answer = ask(tmp_path)
    assert answer["xmm"] == "XMM-Newton"
    assert "lobster" not in answer["names"]
    (said,) = answer["said"]
    assert "lobster-xray" in said
    assert why in said


def test_a_plug_in_must_have_the_name_it_declares(tmp_path):
    install(tmp_path, "lobster-xray", "lobster_xray", declared(), "crab = lobster_xray:SPEC")
    answer = ask(tmp_path)
    assert not {"crab", "lobster"} & set(answer["names"])
    assert "'lobster', not 'crab'" in answer["said"][0]


def test_the_others_stay_when_one_is_broken(tmp_path):
    install(tmp_path / "one", "aardvark", "aardvark", "SPEC = 1 / 0", "aardvark = aardvark:SPEC")
    install(tmp_path / "two", "lobster-xray", "lobster_xray", declared())
    answer = ask(tmp_path / "one", tmp_path / "two")
    assert answer["alias"] == "lobster"
    assert len(answer["said"]) == 1


@pytest.mark.parametrize(
    ("point", "aliases", "name"),
    [("xmm = lobster_xray:SPEC", "", "xmm"), ("", '"CXO",', "cxo"), ("calpv = lobster_xray:SPEC", "", "calpv")],
)
def test_a_name_of_ours_is_not_taken_over(tmp_path, point, aliases, name):
    install(tmp_path, "lobster-xray", "lobster_xray", declared(aliases=aliases), point)
    answer = ask(tmp_path)
    assert answer["code"] == "config.mission-clash"
    assert all(word in answer["message"] for word in (f"'{name}'", "daxa itself", "lobster-xray"))


def test_two_plug_ins_of_one_name_are_both_named(tmp_path):
    install(tmp_path / "one", "lobster-xray", "lobster_xray", declared())
    install(tmp_path / "two", "lobster-copy", "lobster_copy", declared())
    answer = ask(tmp_path / "one", tmp_path / "two")
    assert answer["code"] == "config.mission-clash"
    assert all(word in answer["message"] for word in ("'lobster'", "lobster-xray", "lobster-copy"))
