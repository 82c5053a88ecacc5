"""The contract finds what is wrong with a declaration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daxa.missions import (
    ArchiveProduct,
    Bundle,
    Credit,
    FieldOfView,
    Mirror,
    NativeInput,
    find_mission,
)
from daxa.missions.contract import check_declaration, check_obs_ids, check_paths, check_query
from daxa.missions.facts import expand_ids, fill_pattern

SWIFT = find_mission("swift")
XRT, UVOT, BAT = SWIFT.instruments
BARE = replace(
    SWIFT,
    table=replace(SWIFT.table, mode=(), category="", categories={}),
    instruments=tuple(replace(one, field_of_view=FieldOfView("circle", 10.0)) for one in SWIFT.instruments),
)


def changed(**values):
    return replace(SWIFT, **values)


def seen(**values):
    return changed(instruments=(replace(XRT, **values), UVOT, BAT))


def tabled(**values):
    return changed(table=replace(SWIFT.table, **values))


WRONG = {
    "a name with capitals": (changed(name="Swift"), "short lower-case word"),
    "a name that is a path": (changed(name="../swift"), "short lower-case word"),
    "no title": (changed(title=" "), "no title"),
    "an alias twice": (changed(aliases=("gehrels", "Gehrels")), "alias twice"),
    "no instrument": (changed(instruments=(), default_instruments=()), "no instrument"),
    "two instruments of one name": (seen(aliases=("bat",)), "by one name"),
    "an unknown default": (changed(default_instruments=("WXT",)), "'WXT'"),
    "a wide default": (changed(default_instruments=("XRT", "BAT")), "nearly everything"),
    "no default": (changed(default_instruments=()), "narrow instruments"),
    "a shape that there is not": (seen(field_of_view=FieldOfView("hexagon", 1.0)), "hexagon"),
    "a field without size": (seen(field_of_view=FieldOfView("circle", 0.0)), "0.0 arcmin"),
    "a ring inside out": (seen(field_of_view=FieldOfView("annulus", 5.0, inner=6.0)), "inner radius"),
    "a circle with a hole": (seen(field_of_view=FieldOfView("circle", 5.0, inner=2.0)), "inner radius"),
    "a hostile roll column": (seen(field_of_view=FieldOfView("square", 5.0, roll="roll; --")), "no column"),
    "two columns of the roll": (seen(field_of_view=FieldOfView("square", 5.0, roll="pa")), "different columns"),
    "a narrow instrument that sees the whole sky": (seen(field_of_view=FieldOfView("circle", 600.0)), "not wide"),
    "a circle that turns": (seen(field_of_view=FieldOfView("circle", 5.0, roll="roll_angle")), "whatever the roll"),
    "tiles that nobody computes": (seen(field_of_view=FieldOfView("tile", 108.0)), "does not compute"),
    "computed tiles of other instruments": (tabled(service="tiling"), "no tiles"),
    "columns of a table that is not recorded": (tabled(usual=True), "not recorded"),
    "a column of modes twice": (tabled(mode=("xrt_mode", "xrt_mode")), "twice"),
    "a hostile table": (tabled(name="swiftmastr; DROP"), "table name"),
    "an unknown column of ours": (tabled(columns={**SWIFT.table.columns, "colour": "x"}), "our schema"),
    "a hostile column of theirs": (tabled(columns={**SWIFT.table.columns, "target": 'x" FROM y'}), "names a column"),
    "a reserved word": (tabled(where=("time > 0",)), "reserved word"),
    "two statements": (tabled(where=("xrt_exposure > 0; delete from x",)), "not a condition"),
    "a comment": (tabled(where=("xrt_exposure > 0 -- all",)), "not a condition"),
    "an unknown category": (tabled(category="c", categories={"1": "UFO"}), "unknown category"),
    "categories without column": (tabled(categories={"1": "AGN"}), "without a column"),
    "a category without labels": (tabled(category="c"), "or not at all"),
    "an unknown only category": (tabled(only_category="UFO"), "unknown category"),
    "an unknown second category": (
        tabled(category="c", categories={"1": "AGN"}, second_category=("d", {"2": "UFO"})),
        "unknown category",
    ),
    "a hostile second category": (
        tabled(category="c", categories={"1": "AGN"}, second_category=('d" --', {"2": "CAL"})),
        "names a column",
    ),
    "a second category alone": (tabled(second_category=("d", {"2": "CAL"})), "without a first"),
    "one category and many": (tabled(category="c", categories={"1": "AGN"}, only_category="ASK"), "one category"),
    "0 as a public date": (tabled(never_public=()), "takes 0"),
    "public at once and on a date": (
        tabled(columns={**SWIFT.table.columns, "public_date": "archive_date"}),
        "all is public",
    ),
    "private without a date": (tabled(proprietary="date"), "when data are public"),
    "a service without an address": (tabled(service="lobster"), "of no plain address"),
    "a service without security": (tabled(service="lobster", tap="http://t.example/tap"), "of no plain address"),
    "another address of HEASARC": (tabled(tap="https://t.example/tap"), "of no plain address"),
    "no ObsIDs": (changed(id_pattern="", id_example=""), "no pattern of ObsIDs"),
    "an example that is none": (changed(id_example="42"), "refuses the ObsID '42'"),
    "anything as ObsID": (changed(id_pattern=".*"), "for an ObsID"),
    "an unknown field of a path": (changed(directory="swift/{day}/{obs_id}"), "unknown fields"),
    "a path out of the tree": (changed(directory="swift/../{obs_id}"), "leaves the tree"),
    "an absolute path": (changed(directory="/swift/{obs_id}"), "leaves the tree"),
    "another path out of the tree": (changed(other_directories=((".*", "../{obs_id}"),)), "leaves the tree"),
    "no mirror": (changed(mirrors=()), "no mirror"),
    "a mirror without security": (changed(mirrors=(Mirror("http://x.example"),)), "not https"),
    "a mirror on this machine": (changed(mirrors=(Mirror("file:///etc", "local"),)), "not https"),
    "a mirror with a password": (changed(mirrors=(Mirror("https://me:it@x.example"),)), "no plain address"),
    "a mirror twice": (changed(mirrors=(Mirror("https://x.example"),) * 2), "mirror twice"),
    "a listing that nobody reads": (changed(mirrors=(Mirror("https://x.example", "gopher"),)), "'gopher'"),
    "a layout with unknown fields": (changed(mirrors=(Mirror("https://x.example", layout="{day}"),)), "unknown fields"),
    "a layout out of the tree": (changed(mirrors=(Mirror("https://x.example", layout="../{obs_id}"),)), "leaves"),
    "a DataLink without security": (
        changed(mirrors=(Mirror("https://x.example", datalink="http://x/d"),)),
        "not https",
    ),
    "an input of nobody": (changed(native_inputs=(NativeInput("events", "xrt/event/x", "WXT"),)), "'WXT'"),
    "an input elsewhere": (changed(native_inputs=(NativeInput("events", "bat/event/x", "BAT"),)), "outside"),
    "a product of nobody": (changed(products=(ArchiveProduct("image", "x", "WXT"),)), "'WXT'"),
    "a band twice": (
        changed(products=(ArchiveProduct("image", "{band}", bands=(("1", 1, 2), ("1", 2, 3))),)),
        "band twice",
    ),
    "bands of one name": (
        changed(products=(ArchiveProduct("image", "x", bands=(("1", 1, 2), ("2", 2, 3))),)),
        "distinguish bands",
    ),
    "a product without energies": (
        changed(products=(ArchiveProduct("image", "x", bands=(("", 2, 2),)),)),
        "empty band",
    ),
    "processed without lists": (
        changed(native_inputs=tuple(item for item in SWIFT.native_inputs if item.kind != "events")),
        "is processed",
    ),
    "a group that nobody reads": (
        changed(native_inputs=(*SWIFT.native_inputs, NativeInput("mask", r"xrt/event/(?P<month>\d+)"))),
        "the groups",
    ),
    "an observation in two bundles": (
        changed(bundles=(Bundle("a", "a.tar", ("00020153006",)), Bundle("b", "b.tar", ("00020153006",)))),
        "two bundles",
    ),
    "a bundle of strange ObsIDs": (changed(bundles=(Bundle("a", "a.tar", ("42",)),)), "refuses"),
    "a bundle that is no tar": (changed(bundles=(Bundle("a", "a.zip", ("00020153006",)),)), "not tar files"),
    "a bundle without a kind among others": (
        changed(bundles=(Bundle("a", "a.tar", ("00020153006",), "A"), Bundle("b", "b.tar", ("00020153007",)))),
        "some of its bundles",
    ),
    "two fields of one observation": (
        changed(other_fields=((FieldOfView("circle", 9.0), ("00020153006",)),) * 2),
        "which field",
    ),
    "a field of nothing": (changed(other_fields=((FieldOfView("circle", 9.0), ()),)), "needs more"),
    "another field that turns": (
        changed(other_fields=((FieldOfView("square", 9.0, roll="roll_angle"), ("00020153006",)),)),
        "needs more",
    ),
    "an unknown instrument that was on": (changed(active=((("WXT",), ("00020153006",)),)), "WXT"),
    "no instrument that was on": (changed(active=(((), ("00020153006",)),)), "nothing was on"),
    "instruments in another order": (changed(active=((("BAT", "XRT"), ("00020153006",)),)), "BAT, XRT"),
    "strange observations of some instruments": (changed(active=((("XRT",), ("42",)),)), "refuses"),
    "two answers to what was on": (changed(active=((("XRT",), ("00020153006",) * 2),)), "says twice"),
    "no credit": (changed(credit=Credit()), "acknowledgement"),
    "a source that is not an address": (changed(credit=Credit(source="a book")), "not an address"),
    "a reference that is not a bibcode": (changed(bibcodes=("Gehrels 2004",)), "not a bibcode"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong):
    spec, words = WRONG[wrong]
    with pytest.raises(AssertionError, match=words) as caught:
        check_declaration(spec)
    assert repr(spec.name) in str(caught.value)


def test_problems_of_different_parts_are_named_together():
    spec = replace(tabled(proprietary="date"), title="", credit=Credit())
    with pytest.raises(AssertionError) as caught:
        check_declaration(spec)
    first, second, third = str(caught.value).splitlines()
    assert "no title" in first
    assert "when data are public" in second
    assert "acknowledgement" in third


def test_obs_ids_judged_wrongly_are_named():
    with pytest.raises(AssertionError, match="refuses the ObsID '42'"):
        check_obs_ids(SWIFT, ["42"])
    with pytest.raises(AssertionError, match="takes '00020153006'"):
        check_obs_ids(SWIFT, [], malformed=["00020153006"])


def test_places_and_files_that_are_elsewhere_are_named():
    row = {"start": 55544.2}
    with pytest.raises(AssertionError, match="looks for 00020153006 in"):
        check_paths(SWIFT, "00020153006", "swift/data/obs/2011_12/00020153006", row=row)
    with pytest.raises(AssertionError, match="does not know the file log/x"):
        check_paths(SWIFT, "00020153006", "swift/data/obs/2010_12/00020153006", ["log/x"], row=row)


def test_a_query_asks_for_all_that_is_declared():
    asked = ["obsid", "name", "ra", "dec", "start_time", "stop_time", "xrt_exposure", "bat_exposure", "uvot_exposure"]

    def query(names, table="swiftmastr"):
        quoted = '", "'.join(names)
        return f'SELECT TOP 5 "{quoted}" FROM {table} WHERE 1 = 1'  # noqa: S608 - it is only read

    check_query(BARE, query(asked))
    for lost in asked:
        with pytest.raises(AssertionError, match=f"does not ask for {lost}"):
            check_query(BARE, query([name for name in asked if name != lost]))
    with pytest.raises(AssertionError, match="asks for a column twice"):
        check_query(BARE, query([*asked, "ra"]))
    with pytest.raises(AssertionError, match="numaster"):
        check_query(BARE, query(asked, "numaster"))
    for names, words in (({"mode": ("xrt_mode",)}, "xrt_mode"), ({"category": "class"}, "class")):
        with pytest.raises(AssertionError, match=f"does not ask for {words}"):
            check_query(replace(BARE, table=replace(BARE.table, **names)), query(asked))
    turned = replace(XRT, field_of_view=FieldOfView("square", 11.8, roll="roll_angle"))
    with pytest.raises(AssertionError, match="roll_angle"):
        check_query(replace(BARE, instruments=(turned, UVOT, BAT)), query(asked))


def test_an_obs_id_in_a_pattern_is_text():
    assert fill_pattern("{obs_id}", ".*") == r"\.\*"
    assert find_mission("rosat").products[1].regex("RP500211N00", "2").fullmatch("rp500211n00_im2.fits.Z")
    assert not find_mission("rosat").products[1].regex("RP500211N00", ".").fullmatch("rp500211n00_im2.fits.Z")


def test_ranges_of_obs_ids_keep_their_zeros():
    assert expand_ids("0098-0101 7") == ("0098", "0099", "0100", "0101", "7")
    assert expand_ids("") == ()
