"""``daxa compare`` and what backends declare of random numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

import daxa
from daxa.backends import registry
from daxa.cli import main

NAME = "obsid0404910601-instM1-subexpS001-en0.5_2.0keV-image.fits"


@pytest.fixture
def two(tmp_path):
    paths = []
    for number in range(2):
        path = tmp_path / str(number) / NAME
        path.parent.mkdir()
        pixels = np.random.default_rng(number).poisson(5.0, (20, 20)).astype("i4")
        hdu = fits.PrimaryHDU(pixels)
        hdu.header["BUNIT"] = "count"
        hdu.writeto(path)
        (path.parent / "manifest.json").write_text(json.dumps({"backend": "dice", "step": "images"}))
        paths.append(str(path))
    return paths


def test_equal_files_end_well_and_different_ones_with_seven(two, capsys):
    assert main(["compare", two[0], two[0]]) == 0
    assert capsys.readouterr().out == "identical bytes\n"
    assert main(["compare", *two]) == 7
    shown = capsys.readouterr()
    assert "image differs in" in shown.out
    assert shown.out.endswith("different\n")
    assert main(["compare", *two, "--json"]) == 7
    value = json.loads(capsys.readouterr().out)
    assert (value["verdict"], value["same"]) == ("different", False)
    assert value["differences"][0]["hdu"] == "image"


def test_noise_is_granted_where_the_backend_declares_it_of_the_kind(two, monkeypatch, capsys):
    kinds = {"images": ["expmap"]}
    known = registry.find_backend
    dice = SimpleNamespace(name="dice", randomised=kinds)
    monkeypatch.setattr("daxa.backends.randomised.find_backend", lambda name: dice if name == "dice" else known(name))
    assert main(["compare", *two]) == 7
    kinds["images"] = ["image"]
    capsys.readouterr()
    assert main(["compare", *two]) == 0
    assert capsys.readouterr().out.endswith("equal within counting noise\n")


def test_an_absent_file_is_a_mistake_of_the_user(two, capsys):
    assert main(["compare", two[0], "absent.fits"]) == 3
    assert "absent.fits" in capsys.readouterr().err


def test_the_python_function_is_public(two):
    assert daxa.compare(*two).verdict == "different"
