"""ObsIDs as archives write them, and worse: leading zeros, eights, dashes, letters."""

from __future__ import annotations

from hypothesis import strategies as st

from daxa.run.task import LedgerRow, ProductFile

obs_ids = st.one_of(
    st.from_regex(r"[0-9]{5,10}", fullmatch=True),
    st.from_regex(r"0[0-9]{9}", fullmatch=True),
    st.from_regex(r"[0-9]{5}-[0-9]{2}-[0-9]{2}-[0-9]{2}[A-Z]?", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,20}[A-Za-z0-9]", fullmatch=True),
    st.sampled_from(["0", "00", "1e5", "0x10", "true", "null", "NaN", "0o17", "1_000", "0089", "us701576n00"]),
).filter(str.isascii)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,12}", fullmatch=True).filter(
    lambda name: not name.endswith(".dvc") and name not in ("dvc.yaml", "dvc.lock")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
files = st.builds(ProductFile, paths, st.integers(0, 2**60), digests, digests)
rows = st.builds(
    LedgerRow,
    obs_ids,
    st.sampled_from(["done", "failed", "skipped"]),
    st.sampled_from(["", "data.no-events", "bug.TypeError"]),
    digests | st.just(""),
    st.sampled_from(["{}", '{"input":"0123456789abcdef"}']),
    st.lists(files, max_size=3, unique_by=lambda file: file.path).map(
        lambda found: tuple(sorted(found, key=lambda file: file.path))
    ),
)
