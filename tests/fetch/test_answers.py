"""What answers are held to: whatever a server writes into its headers, a rule decides and nothing breaks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daxa.answers import moment_of, origin_of, redirect_target, requested_pause

PIECES = st.sampled_from(
    ["http:", "https:", "javascript:", "//", "/", "127.0.0.1", "h", "@", "me:word@", ":80", ":99999", ":-1", "[", "]",
     "::1", "#", "?", "%", "%2f", "\\", " ", "\t", "\x00", "é", "\u202e", "..", "FTP", ";", ""]
)  # fmt: skip
LOCATIONS = st.text(max_size=40) | st.lists(PIECES, max_size=8).map("".join)
DATES = st.text(max_size=40) | st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "Xyz", ""]),
    *[st.integers(-(10**25), 10**25) | st.integers(0, 60)] * 1,
    st.sampled_from(["Jan", "Foo", "13"]),
    *[st.integers(-(10**25), 10**25) | st.integers(0, 60)] * 4,
    st.sampled_from(["GMT", "+9999999999", "-0000", "EST", "+2360"]),
)


@given(DATES | st.integers().map(str))
def test_a_pause_is_a_number_or_nothing(text):
    pause = requested_pause(text)
    assert pause is None or 0 <= pause < 1e12
    moment = moment_of(text)
    assert moment is None or moment.tzinfo is not None


@given(LOCATIONS, st.sampled_from(["http://h/FTP/x", "https://h:444/FTP/", "http://127.0.0.1:8080/a"]))
def test_a_redirect_stays_where_it_may_lead(location, here):
    target = redirect_target(here, location, {("other", 80)})
    if target is not None:
        assert origin_of(target) in {origin_of(here), ("other", 80), (origin_of(here)[0], 443)}
        assert target.startswith(("http://", "https://"))
        assert "@" not in target.partition("://")[2].partition("/")[0]
        assert "#" not in target
        assert target.isascii()
        assert target.isprintable()
        assert not (here.startswith("https:") and not target.startswith("https:"))
