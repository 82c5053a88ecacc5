"""Files of mission software that no step reads can be listed and requested by their kind."""

from __future__ import annotations

import pytest

from daxa.archive.config import ArchiveConfig
from daxa.archive.layout import Layout
from daxa.archive.products import find_products
from daxa.errors import CriteriaError
from daxa.publish.sharing.requested import Part, check_requested
from daxa.run.ledger import write_ledger
from daxa.run.product import Product
from daxa.run.task import LedgerRow, ProductFile

OBS, OTHER = "00090900001", "00090900002"


@pytest.fixture
def archive(tmp_path):
    """A ledger of two observations, one with an image of the UVOT."""
    layout = Layout(tmp_path / "a")
    rows = [
        LedgerRow(obs_id, "done", files=(ProductFile(Product(obs_id, *names).name, 1, "a" * 64, "a" * 64),))
        for obs_id, names in ((OBS, ("UVOT", "uw1", "uvotimage")), (OTHER, ("XRT", "pcw3", "events")))
    ]
    path = layout.ledger("swift", "events")
    path.parent.mkdir(parents=True)
    write_ledger(path, rows, mission="swift", step="events")
    return layout, ArchiveConfig(format=1, name="a", missions={"swift": {}})


def test_kinds_that_only_mission_software_makes(archive):
    layout, config = archive
    (found,) = find_products(layout, config, kind="uvotimage")
    assert (found["obs_id"], found["instrument"], found["exposure"]) == (OBS, "UVOT", "uw1")
    assert len(find_products(layout, config, kind=["events", "uvotimage"])) == 2
    check_requested(layout, config, Part(kinds=frozenset({"uvotimage", "image"})))
    for attempt in (
        lambda: find_products(layout, config, kind="uvotimag"),
        lambda: check_requested(layout, config, Part(kinds=frozenset({"uvotimag"}))),
    ):
        with pytest.raises(CriteriaError, match=r"no kind 'uvotimag'; did you mean uvotimage"):
            attempt()
