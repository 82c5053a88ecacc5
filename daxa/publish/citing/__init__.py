"""How a release is cited, and the metadata files that describe it."""
