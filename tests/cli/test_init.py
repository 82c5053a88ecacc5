"""What ``daxa init`` refuses."""

from __future__ import annotations

import pytest

from daxa.cli import main


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--mission", "voyager", "--target", "Abell 907"], 3),
        (["--mission", "xmm"], 3),
        (["--mission", "xmm", "--obsid", "4049"], 3),
        (["--mission", "xmm", "--position", "400,100"], 3),
        (["--mission", "xmm", "--position", "nan,0"], 3),
        (["--mission", "xmm", "--target", "A", "--radius", "15"], 3),
        (["--mission", "xmm", "--target", "A", "--start", "2010-01-01", "--end", "2004-01-01"], 3),
        (["--mission", "xmm", "--target", "A", "--instrument", "ACIS"], 3),
        (["--target", "Abell 907"], 3),
        (["--mission", "xmm", "--target", "A", "--or"], 2),
        (["--mission", "xmm", "--target", "A", "--max-age", "soon"], 3),
        (["--mission", "xmm", "--target", "A", "--refresh", "--offline"], 3),
        (["--mission", "xmm", "--criteria", "absent.toml"], 3),
    ],
)
def test_a_refusal_leaves_nothing_behind(arguments, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Nothing of this may reach a service.
    monkeypatch.setenv("DAXA_HEASARC_TAP", "http://127.0.0.1:9/tap")
    monkeypatch.setenv("DAXA_XSA_TAP", "http://127.0.0.1:9/tap")
    monkeypatch.setenv("DAXA_SESAME", "http://127.0.0.1:9/nph-sesame/")
    assert main(["init", "a907", *arguments]) == code
    assert "rror: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path, monkeypatch, capsys, identity):
    (tmp_path / "a907").mkdir()
    (tmp_path / "a907" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "a907", "--mission", "xmm", "--obsid", "0404910601"]) == 5
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "a907").iterdir()] == ["notes.txt"]
