"""ObsIDs are strings everywhere: leading zeros, 8s and 9s, dashes and letters survive every format."""

from __future__ import annotations

import json
import tomllib

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.archive.layout import Layout
from daxa.missions import find_mission, mission_names
from daxa.missions.spec import SAFE_ID
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.product import Product, parse_product
from daxa.run.task import LedgerRow, ProductFile, Task, canonical
from daxa.selection.selection_file import read_selection, write_selection

ODD = ["0008888888", "0000000009", "0123456701", "93087-01-02-11", "RP500211N00", "1e5", "0x1F", "00_1", "007", "nan"]

obs_ids = st.one_of(st.sampled_from(ODD), st.from_regex(SAFE_ID, fullmatch=True))


@given(st.lists(obs_ids, min_size=1, max_size=8, unique=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_format_keeps_them(tmp_path, identifiers):
    layout = Layout(tmp_path)
    rows = [
        LedgerRow(obs_id, "done", files=(ProductFile(f"obsid{obs_id}.fits", 1, "0" * 64, "0" * 64),))
        for obs_id in identifiers
    ]
    write_ledger(layout.ledger("xmm", "clean"), rows, mission="xmm", step="clean")
    assert sorted(read_ledger(layout.ledger("xmm", "clean"))) == sorted(identifiers)

    for obs_id in identifiers:
        assert layout.log("xmm", "clean", obs_id).stem == obs_id
        assert parse_product(Product(obs_id, "M1", "S001", "image", "0.5", "2.0").name).obs_id == obs_id
        task = Task("xmm", "clean", obs_id, "native", "1", facts=canonical({"obs_id": obs_id}))
        assert json.loads(task.facts)["obs_id"] == obs_id
        assert list(tomllib.loads(f'[clean.obs."{obs_id}"]\nx = 1\n')["clean"]["obs"]) == [obs_id]


@pytest.mark.parametrize("mission", mission_names(processed=True))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_missions_own_survive_the_selection(tmp_path, mission, data):
    spec = find_mission(mission)
    pattern = st.from_regex(spec.id_pattern, fullmatch=True).filter(str.isascii)
    identifiers = data.draw(st.lists(pattern, min_size=1, max_size=5, unique=True))
    table = pd.DataFrame(
        {
            "obs_id": identifiers,
            "target": "target",
            "ra": 10.0,
            "dec": -10.0,
            "start": 53000.0,
            "end": 53001.0,
            "exposure": 1000.0,
            "instruments": spec.default_instruments[0],
            "public_date": 53400.0,
            "category": "",
            "mode": "",
            "roll": float("nan"),
            "exposures": "",
        }
    )
    path = tmp_path / f"{len(identifiers)}-{identifiers[0]}.parquet"
    write_selection(path, table, mission=mission, criteria="{}", snapshot="0" * 64)
    assert sorted(read_selection(path)["obs_id"]) == sorted(identifiers)
    for obs_id in identifiers:
        assert spec.check_obs_id(obs_id) == obs_id
        place, name = spec.directory_of(obs_id, {"start": 53000.0}).lower(), obs_id.lower()
        # The tiles of eROSITA are sorted by their distance from the pole, then by right ascension; what lies in the
        # file of a field has no directory of its own.
        ends = {"erass1": f"/{name[3:]}/{name[:3]}", "erosita_calpv": "/calpvobs"}.get(mission, f"/{name}")
        assert place.endswith(ends)


@pytest.mark.journey
def test_git_and_dvc_keep_them(tmp_path, identity):
    from daxa.archive import dvc, git
    from tests.journey.workbench import parsed_lock

    git.initialise(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "params.toml").write_text("[clean]\n" + "".join(f'[clean.obs."{name}"]\nx = 1\n' for name in ODD))
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  clean:\n    cmd: python make.py\n    params:\n      - params.toml: [clean]\n"
        "    outs:\n      - data: {persist: true}\n"
    )
    (tmp_path / "make.py").write_text(
        "import pathlib, tomllib\n"
        "for name in tomllib.loads(pathlib.Path('params.toml').read_text())['clean']['obs']:\n"
        "    pathlib.Path('data', name).mkdir(parents=True)\n"
        "    pathlib.Path('data', name, 'file').write_text(name)\n"
    )
    dvc.repro(tmp_path)
    git.commit(tmp_path, ["."], "made")

    assert dvc.changed_stages(tmp_path) == {}
    locked = parsed_lock(tmp_path)["stages"]["clean"]["params"]["params.toml"]["clean"]["obs"]
    assert sorted(locked) == sorted(ODD)
    assert all(isinstance(name, str) for name in locked)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(ODD)
    assert git.read_file(tmp_path, "HEAD", "params.toml") == (tmp_path / "params.toml").read_bytes()
