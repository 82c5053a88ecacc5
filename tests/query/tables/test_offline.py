"""A table that one machine fetched answers every question on another that has no network."""

from __future__ import annotations

import csv
import io
import json
import socket

import pandas as pd
import pytest

from daxa.cli import main
from daxa.errors import CriteriaError, ServiceError
from daxa.query import Mission
from daxa.query.tables.name_resolution import resolve_names
from daxa.query.tables.snapshot import import_snapshot, take_snapshot, write_snapshot
from daxa.settings import load_settings
from daxa.simulator.sesame import resolve_page
from tests.query.rows import XMM
from tests.query.service import Reply, serve, table_service

ROWS = [
    XMM | {"obsid": f"00000000{n:02d}", "ra": 149.0 + n / 4, "dec": -11.0 + n / 4, "time": 53000.0 + 400 * n,
           "end_time": 53000.5 + 400 * n, "duration": 5000.0 * (n + 1), "public_date": 54000.0 if n else 99000.0,
           "pn_time": 1000.0 * (n % 2)}
    for n in range(8)
]  # fmt: skip
ASKED = [
    {},
    {"everything": True},
    {"position": (149.25, -10.75)},
    {"position": (149.25, -10.75), "radius": "25 arcmin"},
    {"position": (149.25, -10.75), "match": "overlaps", "radius": "25 arcmin", "margin": 1.2},
    {"sample": {"ra": [149.25, 150.0], "dec": [-10.75, -10.0], "radius_deg": [0.1, 0.7], "start": ["", "2005-01-01"]}},
    {"box": {"ra": (149.2, 150.1)}},
    {"region": "icrs; circle(149.5,-10.5,0.5)"},
    {"moc": "0/0-11"},
    {"time": ("2006-01-01", "2008-01-01")},
    {"time": ("2006-01-01", "2008-01-01"), "inside": True},
    {"obs_ids": ["0000000003", "0000000005"]},
    {"instruments": "PN"},
    {"min_exposure": "500 s"},
    {"access": "proprietary"},
    {"access": "any"},
    {"target": "Abell 907", "radius": "1 deg"},
]  # fmt: skip
NAMES = {"Abell 907": (149.25, -10.75)}


def answer(query):
    return table_service(ROWS)(query) if query.startswith("SELECT") else Reply(resolve_page(NAMES, query))


def answers(mission) -> list[pd.DataFrame]:
    """All that a user may ask of it, and two combinations."""
    asked = [mission.filter(**one) for one in ASKED]
    asked += [mission.filter(asked[2].criteria | asked[9].criteria), mission.filter(~asked[3].criteria)]
    pairs = [one.pairs for one in (asked[2], asked[5], asked[-3])]
    return [*(one.observations for one in asked), *pairs]


@pytest.fixture
def exported(tmp_path):
    """What one machine gives away: a table, answers to names, a stored selection, and its own answers."""
    with serve(answer) as service:
        settings = service.settings()
        mission = Mission("xmm", settings)
        wanted = answers(mission)
        stored = mission.filter(target="Abell 907").select()
        write_snapshot(tmp_path / "xmm.parquet", take_snapshot(mission.spec, settings))
        names = [path.read_bytes() for path in (settings.cache / "names").iterdir()]
    return {
        "file": tmp_path / "xmm.parquet",
        "answers": wanted,
        "criteria": stored.criteria.text,
        "stored": stored.table,
        "names": names,
        "environ": {"DAXA_HEASARC_TAP": settings.heasarc_tap, "DAXA_XSA_TAP": settings.xsa_tap,
                    "DAXA_SESAME": settings.sesame, "DAXA_CACHE": str(tmp_path / "elsewhere"), "DAXA_OFFLINE": "1"},
    }  # fmt: skip


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_another_machine_answers_everything_without_a_network(exported, no_network):
    settings = load_settings(environ=exported["environ"], user_file=None)
    mission = Mission("xmm", settings)
    with pytest.raises(ServiceError, match="no observation table of XMM-Newton"):
        mission.filter(**ASKED[2]).select()
    import_snapshot(exported["file"], settings)
    with pytest.raises(ServiceError, match="'Abell 907' is not cached"):
        mission.filter(target="Abell 907").select()
    # A stored selection brings the positions of its targets along.
    again = Mission("xmm", settings, criteria=json.loads(exported["criteria"])).select()
    pd.testing.assert_frame_equal(again.table, exported["stored"])
    # So do the kept names, which are small files that may be copied.
    keep_names(settings, exported["names"])
    found = answers(mission)
    assert len(found) == len(exported["answers"]) == len(ASKED) + 5
    for ours, theirs in zip(found, exported["answers"], strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    assert len({len(table) for table in found}) > 4


def keep_names(settings, contents) -> None:
    from daxa.query.tables import name_resolution

    for content in contents:
        path = name_resolution._path(json.loads(content)["name"], settings, settings.sesame)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert resolve_names(NAMES, settings) == NAMES


def test_so_does_its_command_line(exported, no_network, monkeypatch, capsys, tmp_path):
    for name, value in exported["environ"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "none.toml"))
    settings = load_settings()
    import_snapshot(exported["file"], settings)
    keep_names(settings, exported["names"])
    assert main(["search", "--mission", "xmm", "--target", "Abell 907", "--radius", "1deg", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["obs_id"] for row in rows] == exported["answers"][16]["obs_id"].tolist()
    assert main(["search", "--mission", "xmm", "--target", "M 87"]) == ServiceError.exit_code
    said = capsys.readouterr().err
    assert "'M 87' is not cached on this machine" in said
    assert "DAXA_OFFLINE" in said
    assert main(["search", "--mission", "xmm", "--position", "10,80"]) == CriteriaError.exit_code
