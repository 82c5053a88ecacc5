"""The running daxa as a wheel, to install it in another environment: no index of packages need have it."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from daxa.archive.template import template_directories
from daxa.errors import ConfigError
from daxa.files import replace_file
from daxa.publish.releases.release_environment import DISTRIBUTION

__all__ = ["write_own_wheel"]

_WHEEL = "Wheel-Version: 1.0\nGenerator: daxa\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_PACKAGE = Path(__file__).resolve().parents[2]
_TEMPLATES = "_templates"


def write_own_wheel(directory: Path) -> Path:
    """Write the daxa that is running as a wheel; the same daxa gives the same bytes.

    Parameters
    ----------
    directory
        Where it goes.

    Raises
    ------
    ConfigError
        This daxa runs without having been installed.

    Notes
    -----
    The form of wheels is that of PEP 427.
    """
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ConfigError(
            "not-installed",
            "this daxa is not installed, so that it cannot be installed in another environment",
            remedy="install it (`pip install .` in its directory), or name a source of it with --daxa",
        ) from None
    name = f"{DISTRIBUTION.replace('-', '_')}-{installed.version}"
    content = dict(_package_files())
    content[f"{name}.dist-info/METADATA"] = (installed.read_text("METADATA") or "").encode()
    content[f"{name}.dist-info/WHEEL"] = _WHEEL.encode()
    content[f"{name}.dist-info/entry_points.txt"] = (installed.read_text("entry_points.txt") or "").encode()
    record = f"{name}.dist-info/RECORD"
    content[record] = "".join([*(_recorded(path, data) for path, data in content.items()), f"{record},,\n"]).encode()
    target = directory / f"{name}-py3-none-any.whl"
    replace_file(target, _packed(content))
    return target


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Path in the wheel, and content, of the package and its templates, wherever these are."""
    places = [(_PACKAGE, Path(_PACKAGE.name))]
    if not (_PACKAGE / _TEMPLATES).is_dir():
        places += [(one, Path(_PACKAGE.name) / _TEMPLATES) for one in template_directories()]
    for source, target in places:
        # Beside the package in a checkout is one template alone, among all else that is there.
        found = source.glob("*.j2") if source == _PACKAGE.parent else source.rglob("*")
        for path in sorted(found):
            relative = path.relative_to(source)
            if path.is_file() and "__pycache__" not in relative.parts:
                yield (target / relative).as_posix(), path.read_bytes()


def _recorded(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def _packed(content: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            entry = zipfile.ZipInfo(path)  # Dated 1980, whenever it is written.
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()
