"""Names of products: ``obsid{o}-inst{i}-subexp{e}-en{lo}_{hi}keV-{kind}.fits``.

The form that users of XGA know.  ``subexpALL`` stands for merged exposures, and
``en-`` without energies for a product without an energy cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from daxa.errors import DataError
from daxa.run.steps import OWN_STEPS, kinds_of

__all__ = ["KINDS", "Product", "parse_product"]

KINDS = kinds_of(OWN_STEPS)
"""Kinds of files in an archive with daxa's own steps, in the order of the steps that make them.

``fetched`` are those of the telescope's archive, ``auxiliary`` those that accompany a product.
"""

_NAME = re.compile(
    r"obsid(?P<obs_id>[A-Za-z0-9_.+-]+?)-inst(?P<instrument>[A-Za-z0-9]+)-subexp(?P<exposure>[A-Za-z0-9]+)"
    r"-en(?:(?P<lo>[0-9.]+)_(?P<hi>[0-9.]+)keV)?-(?P<kind>[a-z]+)\.(?P<suffix>fits|png|parquet|reg|json)",
    re.ASCII,
)


@dataclass(frozen=True)
class Product:
    """The identity of a product.

    Parameters
    ----------
    obs_id, instrument, exposure
        Exposure is the archive's exposure identifier (``S001``), ``ALL`` or ``None``.
    kind
        events, gti, finalevents, image, expmap, ratemap, ootimage, combinedimage, combinedexpmap, combinedratemap,
        lightcurve, quicklook, sourcelist, background, sensitivity, search ...
    lo, hi
        Energies in keV as texts (``0.5``), '' without an energy cut.
    suffix
        ``fits``, ``png``, ``parquet``, ``reg`` (DS9 regions) or ``json``.

    Examples
    --------
    >>> Product("0404910601", "M1", "S001", "image", "0.5", "2.0").name
    'obsid0404910601-instM1-subexpS001-en0.5_2.0keV-image.fits'
    >>> parse_product("obsid18461-instACIS-subexpNone-en-finalevents.fits").kind
    'finalevents'
    """

    obs_id: str
    instrument: str
    exposure: str
    kind: str
    lo: str = ""
    hi: str = ""
    suffix: str = "fits"

    @property
    def name(self) -> str:
        """The file name."""
        energies = f"{self.lo}_{self.hi}keV" if self.lo else ""
        return f"obsid{self.obs_id}-inst{self.instrument}-subexp{self.exposure}-en{energies}-{self.kind}.{self.suffix}"

    def name_beside(self, kind: str, suffix: str = "fits") -> str:
        """The file name of another product of the same exposure and band.

        Examples
        --------
        >>> Product("18461", "ACIS", "None", "image", "0.5", "2.0").name_beside("quicklook", "png")
        'obsid18461-instACIS-subexpNone-en0.5_2.0keV-quicklook.png'
        """
        return replace(self, kind=kind, suffix=suffix).name


def parse_product(name: str) -> Product:
    """The identity of a product, from its file name.

    Raises
    ------
    DataError
        It is not the name of a product.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise DataError("product-name", f"{name!r} is not the name of a product", remedy="list products with `daxa ls`")
    return Product(**{key: value or "" for key, value in found.groupdict().items()})
