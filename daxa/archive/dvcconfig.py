"""Check the settings of DVC that come with an archive: ``.dvc/config``.

A setting may run a program (``bearer_token_command``), have one run (``configpath`` names a file
whose ``credential_process`` is one), write or read elsewhere (``cache.dir``, ``keyfile``), or link
data to the cache.  Only what is known to do none of this is let through.  What ``dvc remote add``
and ``dvc remote modify`` write for ordinary storage is; what concerns one machine or one account
belongs in ``.dvc/config.local``, which Git does not carry.

The grammar here is narrower than DVC's own, so that both read the same: a line that could be read
in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["check_settings", "is_address", "read_settings"]

_SECTION = re.compile(r"\[(core|cache|'remote \"([\w.-]+)\"'|remote \"([\w.-]+)\")\]", re.ASCII)
_SETTING = re.compile(r"([a-z_]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\"'#]*?))\s*(?:#.*)?", re.ASCII | re.IGNORECASE)
_BOOL = r"(?i:true|false|yes|no|on|off|0|1)"
_NUMBER = r"\d{1,6}(?:\.\d{1,3})?"
_WORD = r"[\w.@:/+=, -]*"
_ANY_TYPE = r"(?:reflink|copy)(?:, ?(?:reflink|copy))?"

_ALLOWED = {
    "core": {
        "remote": r"[\w.-]+",
        "checksum_jobs": _NUMBER,
        **dict.fromkeys(("analytics", "autostage", "check_update", "experiments", "hardlink_lock"), _BOOL),
    },
    "cache": {"type": _ANY_TYPE, "slow_link_warning": _BOOL, "shared": "group", "verify": _BOOL},
    "remote": {
        **dict.fromkeys(("checksum_jobs", "jobs", "port", "max_sessions", "replication"), _NUMBER),
        **dict.fromkeys(("timeout", "read_timeout", "connect_timeout", "connection_timeout"), _NUMBER),
        **dict.fromkeys(("verify", "use_ssl", "use_https", "allow_anonymous_login", "ask_password"), _BOOL),
        **dict.fromkeys(("ask_passphrase", "kerberos", "no_traverse", "listobjects", "slow_link_warning"), _BOOL),
        **dict.fromkeys(("allow_agent", "gss_auth", "gdrive_use_service_account", "cache_regions"), _BOOL),
        **dict.fromkeys(("gdrive_acknowledge_abuse", "gdrive_trash_only"), _BOOL),
        **dict.fromkeys(("exclude_environment_credential", "exclude_managed_identity_credential"), _BOOL),
        **dict.fromkeys(("exclude_visual_studio_code_credential", "exclude_shared_token_cache_credential"), _BOOL),
        **dict.fromkeys(("region", "profile", "account_name", "projectname", "tenant_id", "client_id"), _WORD),
        **dict.fromkeys(("acl", "sse", "sse_kms_key_id", "sse_customer_algorithm"), _WORD),
        **dict.fromkeys(("grant_read", "grant_read_acp", "grant_write_acp", "grant_full_control"), _WORD),
        **dict.fromkeys(("user", "kerberos_principal", "gdrive_service_account_user_email"), _WORD),
        **dict.fromkeys(("gdrive_client_id", "oss_key_id", "access_key_id"), _WORD),
        "auth": "(?i:basic|digest|custom)",
        "method": "(?i:post|put|patch)",
        "type": _ANY_TYPE,
        "ssl_verify": "(?i:true|yes|on|1)",
        "shared": "group",
    },
}
_ADDRESSES = ("url", "endpointurl", "oss_endpoint")
_ADDRESS = re.compile(
    r"(?:s3|gs|azure|gdrive|ssh|hdfs|webhdfs|https?|webdavs?|oss|remote|file)://"
    r"(?:\w[\w.+%~-]*@)?(?:[a-z0-9_][\w.-]*|\[[0-9a-f:]+\])?(?::\d{1,5})?(?:/[^\x00-\x1f\x7f]*)?",
    re.IGNORECASE,
)


def check_settings(content: bytes) -> Iterator[str]:
    r"""What is wrong with a ``.dvc/config``, each as the end of a sentence that begins with its path.

    Examples
    --------
    >>> list(check_settings(b"[core]\n    remote = lab\n['remote \"lab\"']\n    url = s3://bucket/a907\n"))
    []
    >>> list(check_settings(b"[cache]\n    dir = /home/somebody\n"))
    ['sets cache.dir']
    """
    settings = read_settings(content)
    if settings is None:
        yield "is not written as DVC writes it"
        return
    for section, name, key, value in settings:
        place = f"remote.{name}.{key}" if section == "remote" else f"{section}.{key}"
        pattern = _ALLOWED[section].get(key)
        if section == "remote" and key in _ADDRESSES:
            if not is_address(value):
                yield f"holds an address that cannot be used: {place} = {value}"
        elif pattern is None:
            yield f"sets {place}"
        elif not re.fullmatch(pattern, value):
            yield f"sets {place} = {value}"


def read_settings(content: bytes) -> list[tuple[str, str, str, str]] | None:
    """Section, name of a remote ('' elsewhere), key and value of every setting; None for another grammar."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if re.search(r"[^\S \t\r\n]|[\x00-\x08\x0e-\x1f\x7f]|\r(?!\n)|%\(", text):
        return None
    found: list[tuple[str, str, str, str]] = []
    section = name = ""
    for line in (line.strip() for line in text.split("\n")):
        if not line or line.startswith("#"):
            continue
        if head := _SECTION.fullmatch(line):
            name = (head[2] or head[3] or "").lower()
            section = "remote" if name else head[1]
            continue
        if not section or not (setting := _SETTING.fullmatch(line)):
            return None
        value = next((text for text in setting.groups()[1:] if text is not None), "")
        found.append((section, name, setting[1].lower(), value.strip()))
    return found


def is_address(address: str) -> bool:
    """Whether an address has one of the forms that DVC knows, with an ordinary host, or is a path.

    Examples
    --------
    >>> [is_address(one) for one in ("s3://bucket/a907", "ssh://me@host:22/x", "../remote", "ssh://-oProxy/x", "x::y")]
    [True, True, True, False, False]
    """
    if "://" in address:
        return bool(_ADDRESS.fullmatch(address))
    return bool(re.fullmatch(r"[^\x00-\x1f\x7f]+", address)) and not address.startswith("-") and "::" not in address
