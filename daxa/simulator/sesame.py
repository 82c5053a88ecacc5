"""Answers of the CDS name resolver, Sesame, in its plain text form."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["folded", "resolve_page"]


def resolve_page(names: Mapping[str, tuple[float, float]], requested: str) -> bytes:
    """The page for one name; an unknown one gives a page without a position.

    Parameters
    ----------
    names
        Known names, whose case and spaces do not matter, with RA and Dec in degrees.
    requested
        The name that is requested.

    Examples
    --------
    >>> b"%J 149.591" in resolve_page({"Abell 907": (149.591, -11.064)}, "abell  907")
    True
    """
    known = {folded(name): (name, position) for name, position in names.items()}
    shown = requested.replace("\n", " ").encode("ascii", "replace").decode()
    lines = [f"# {shown}\t#Q1", "#=Sc=Simbad (sample observatory):    1     0ms"]
    if folded(requested) in known:
        name, (ra, dec) = known[folded(requested)]
        lines += [
            "%@ 1",
            "%C.0 ClG",
            f"%J {ra:.8f} {dec:+.8f} = {_sexagesimal(ra / 15)} {_signed(dec)}",
            f"%I.0 {name}",
        ]
    else:
        lines += ["#!Simbad: No known catalog could be found", "#! *** Nothing found ***"]
    return ("\n".join([*lines, "#====Done====", ""])).encode()


def folded(name: str) -> str:
    """A name without blanks and case, in which resolvers see no difference."""
    return "".join(name.split()).lower()


def _sexagesimal(value: float) -> str:
    tenths = round(value * 36000)
    return f"{tenths // 36000:02d}:{tenths // 600 % 60:02d}:{tenths % 600 / 10:04.1f}"


def _signed(dec: float) -> str:
    return ("-" if dec < 0 else "+") + _sexagesimal(abs(dec))
