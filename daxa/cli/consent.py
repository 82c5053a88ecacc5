"""Consent to the services that an archive names in place of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["TrustServices", "remember_consent"]

TrustServices = Annotated[
    bool,
    typer.Option("--trust-services", help="Trust the services named in daxa.toml, until it names others."),
]


def remember_consent(given: bool) -> None:
    """Remember that the user trusts the services of the archive in the current directory, if that was said."""
    if not given:
        return
    from daxa.archive.layout import Layout
    from daxa.archive.trust import accept_services

    accept_services(Layout(Path.cwd()))
