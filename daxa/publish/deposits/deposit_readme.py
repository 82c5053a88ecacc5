"""How a deposit describes itself to people who have never heard of daxa."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daxa.publish.citing.citation import Citation

__all__ = ["readme_text"]


def readme_text(cited: Citation, files: Mapping[str, tuple[int, str]]) -> str:
    """The ``README.md`` of a deposit.

    Parameters
    ----------
    cited
        The release.
    files
        Name to size and SHA-256 of bundle and tar files.
    """
    parts = [name for name in files if name.startswith("data-")]
    listed = "\n".join(f"| `{name}` | {size} |" for name, (size, _) in files.items())
    quoted = "\n".join(f"    {line}" if line else "" for line in cited.text.splitlines())
    return f"""# {cited.name} {cited.tag}

{" ".join(cited.title.split())}: a version of an archive of X-ray observations, complete with its data.

| file | bytes |
|---|---|
{listed}

`repository.bundle` is a Git repository with the selection, the parameters, the ledgers and the tag `{cited.tag}`
(commit `{cited.commit}`); the tar files hold its data as a remote of DVC; `deposit.json` and `SHA256SUMS` list all
files.

## Get it back

With daxa, which checks everything before it believes it (give the directory, or the single tar file, of this deposit):

```console
$ daxa restore DEPOSIT {cited.name}
```

Without daxa, with Git and DVC (`pip install dvc`):

```console
$ sha256sum --check SHA256SUMS
$ git clone --branch {cited.tag} repository.bundle {cited.name}
$ for part in {parts[0] if len(parts) == 1 else "data-*.tar"}; do mkdir -p remote && tar -xf $part -C remote; done
$ cd {cited.name}
$ dvc remote add --local --default deposit ../remote
$ dvc pull
```

## Cite it

{quoted}
"""
