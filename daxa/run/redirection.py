"""Keep the environment from leading Git to a repository other than that of the directory in which it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["without_redirection"]

# `git rev-parse --local-env-vars` names those that belong to one repository; the others change which files a
# command means, or in what form a repository is made.
_REDIRECTING = re.compile(
    "GIT_(?:"
    "ALTERNATE_OBJECT_DIRECTORIES|ATTR_SOURCE|CEILING_DIRECTORIES|COMMON_DIR|CONFIG|CONFIG_PARAMETERS|"
    "DEFAULT_HASH|DEFAULT_REF_FORMAT|DIFF_OPTS|DIR|DISCOVERY_ACROSS_FILESYSTEM|EXTERNAL_DIFF|"
    "GLOB_PATHSPECS|GRAFT_FILE|ICASE_PATHSPECS|IMPLICIT_WORK_TREE|INDEX_FILE|INDEX_VERSION|"
    "INTERNAL_SUPER_PREFIX|LITERAL_PATHSPECS|NAMESPACE|NOGLOB_PATHSPECS|NO_REPLACE_OBJECTS|"
    "OBJECT_DIRECTORY|PREFIX|QUARANTINE_PATH|REPLACE_REF_BASE|SHALLOW_FILE|TEMPLATE_DIR|WORK_TREE"
    ")"
)
_SETTING = re.compile(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+)")
_REDIRECTING_SETTING = re.compile(r"(?:core\.(?:worktree|bare|repositoryformatversion)|extensions\..*)", re.IGNORECASE)


def without_redirection(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables that point Git to a repository other than that of its directory.

    Git sets them for hooks and for the programs that it starts, and editors inherit them.  Variables
    that say who the user is, how to reach others, and which settings hold stay.

    Parameters
    ----------
    environ
        An environment.

    Examples
    --------
    >>> without_redirection({"GIT_INDEX_FILE": "/other/.git/index", "GIT_AUTHOR_NAME": "Ada", "HOME": "/home/ada"})
    {'GIT_AUTHOR_NAME': 'Ada', 'HOME': '/home/ada'}
    """
    kept = {
        name: value for name, value in environ.items() if not (_REDIRECTING.fullmatch(name) or _SETTING.fullmatch(name))
    }
    given = environ.get("GIT_CONFIG_COUNT", "")
    pairs = [
        (environ[f"GIT_CONFIG_KEY_{at}"], environ[f"GIT_CONFIG_VALUE_{at}"])
        for at in range(int(given) if given.isdecimal() and len(given) < 4 else 0)
        if f"GIT_CONFIG_KEY_{at}" in environ and f"GIT_CONFIG_VALUE_{at}" in environ
    ]
    pairs = [(key, value) for key, value in pairs if not _REDIRECTING_SETTING.fullmatch(key)]
    for at, (key, value) in enumerate(pairs):
        kept |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    return kept | ({"GIT_CONFIG_COUNT": str(len(pairs))} if pairs else {})
