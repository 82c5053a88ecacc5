"""Servers that hold files of more than one mission.

HEASARC's tree is copied in the bucket ``nasa-heasarc`` of the NASA open data on AWS, where the key
of an object is the path behind ``/FTP/`` (https://heasarc.gsfc.nasa.gov/docs/archive/cloud.html).
"""

from __future__ import annotations

from daxa.addresses import SERVICES, Mirror

__all__ = ["HEASARC", "MPE"]

HEASARC = (
    Mirror(SERVICES["heasarc_tree"], "apache", datalink=SERVICES["heasarc_datalink"]),
    Mirror("https://nasa-heasarc.s3.amazonaws.com", "s3", datalink=SERVICES["heasarc_datalink"]),
)
"""HEASARC's tree at Goddard, and its copy on AWS."""

MPE = Mirror("https://erosita.mpe.mpg.de", "apache")
"""The German eROSITA consortium's server."""
