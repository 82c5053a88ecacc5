"""Overviews of an archive for people."""
