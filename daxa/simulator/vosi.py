"""The documents in which a TAP service says what it is and that it works."""

from __future__ import annotations

__all__ = ["availability", "capabilities"]


def capabilities(base: str) -> bytes:
    """VOSI capabilities of the TAP service at an address.

    As HEASARC does, it declares TABLEDATA although it answers in BINARY.
    """
    plain = "".join(
        f'<capability standardID="ivo://ivoa.net/std/VOSI#{name}"><interface xsi:type="vs:ParamHTTP" role="std">'
        f'<accessURL use="full">{base}/{name}</accessURL></interface></capability>'
        for name in ("capabilities", "availability", "tables")
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><vosi:capabilities '
        'xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0" '
        'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
        'xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'{plain}<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">'
        f'<interface xsi:type="vs:ParamHTTP" role="std"><accessURL use="base">{base}</accessURL></interface>'
        '<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version></language>'
        '<outputFormat ivo-id="ivo://ivoa.net/std/TAPRegExt#output-votable-td">'
        "<mime>application/x-votable+xml</mime><alias>votable</alias></outputFormat>"
        '<outputLimit><default unit="row">100000</default><hard unit="row">100000</hard></outputLimit>'
        "</capability></vosi:capabilities>"
    ).encode()


def availability() -> bytes:
    """VOSI availability: the service works."""
    return (
        b'<?xml version="1.0" encoding="UTF-8"?><vosi:availability '
        b'xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        b"<vosi:available>true</vosi:available></vosi:availability>"
    )
