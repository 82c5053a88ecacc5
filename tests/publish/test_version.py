"""The next version follows from what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.publish.version import ReleaseContents, next_version, parse_version, release_tags

ONE = ReleaseContents(1, {"xmm": {"001", "002"}})

CASES = {
    "the same observations": (ONE, "v1.4.8"),
    "one more": (ReleaseContents(1, {"xmm": {"001", "002", "003"}}), "v1.5.0"),
    "one mission more": (ReleaseContents(1, {"xmm": {"001", "002"}, "nustar": {"9"}}), "v1.5.0"),
    "one mission more, still empty": (ReleaseContents(1, {"xmm": {"001", "002"}, "nustar": set()}), "v1.5.0"),
    "one less": (ReleaseContents(1, {"xmm": {"001"}}), "v2.0.0"),
    "one exchanged": (ReleaseContents(1, {"xmm": {"001", "003"}}), "v2.0.0"),
    "a mission less": (ReleaseContents(1, {}), "v2.0.0"),
    "the same ObsIDs of another mission": (ReleaseContents(1, {"chandra": {"001", "002"}}), "v2.0.0"),
    "another format": (ReleaseContents(2, {"xmm": {"001", "002"}}), "v2.0.0"),
}


@pytest.mark.parametrize("case", CASES)
def test_rule(case):
    now, expected = CASES[case]
    assert next_version("v1.4.7", ONE, now) == expected


@pytest.mark.parametrize(
    "tag", ["1.0.0", "v1.0", "v1.0.0.0", "v1.0.0-rc1", "v01.0.0", "v1.0.٣", "v1.0.0\n", "V1.0.0", ""]
)
def test_other_tags_are_no_releases(tag):
    assert parse_version(tag) is None
    assert release_tags([tag]) == []


def test_versions_are_ordered_as_numbers():
    assert release_tags(["v1.10.0", "v1.9.0", "v2.0.0", "paper", "v1.9.10"]) == [
        "v1.9.0",
        "v1.9.10",
        "v1.10.0",
        "v2.0.0",
    ]


contents = st.builds(
    ReleaseContents,
    st.integers(1, 2),
    st.dictionaries(st.sampled_from("abc"), st.sets(st.sampled_from("12345")), max_size=3),
)


@given(contents, contents, st.tuples(*[st.integers(0, 99)] * 3))
def test_versions_only_grow_and_name_every_loss(before, now, numbers):
    last = "v{}.{}.{}".format(*numbers)
    following = next_version(last, before, now)
    assert parse_version(following) > numbers
    lost = {(m, o) for m, ids in before.chosen.items() for o in [None, *ids]} - {
        (m, o) for m, ids in now.chosen.items() for o in [None, *ids]
    }
    assert (parse_version(following)[0] > numbers[0]) == bool(lost or before.format != now.format)
