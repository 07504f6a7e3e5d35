"""Addresses of repositories: `https://HOST/PATH`, with `@REF` behind it where not the default branch is meant.

Nothing else is taken: no other protocol, no IP address, no password. A sentence about an address never repeats what
could be a secret in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import FieldError

FIELD = "git"
HTTPS_PORT = 443
LONGEST = 1000
LONGEST_REF = 200
WRITE_IT = (
    "Write it as https://github.com/OWNER/NAME, with @BRANCH, @TAG or @COMMIT behind it where another one is meant."
)
HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*", re.ASCII
)
#: What a browser and a resolver read as a number, and so as an IP address: `127.0.0.1`, `0x7f.1`, `2130706433`.
NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
STEP = re.compile(r"[A-Za-z0-9_~.+-]*[A-Za-z0-9_~+-][A-Za-z0-9_~.+-]*", re.ASCII)
REF_STEP = re.compile(r"[A-Za-z0-9_+#%=,-][A-Za-z0-9_.+#%=,-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}", re.ASCII)
#: How the pages of a repository in a browser say which branch or commit they show.
PAGE = re.compile(r"(?P<path>[^/]+/[^/]+|.+/-)/(?:tree|commit)/(?P<ref>.+)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository, and what of it is meant."""

    host: str
    port: int = HTTPS_PORT
    path: str  #: without a slash before it
    ref: str = ""  #: a branch, a tag or a commit; empty: the default branch

    @property
    def site(self) -> str:
        """The host, with its port where that is another one."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address of the repository."""
        return f"https://{self.site}/{self.path}"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2].removesuffix(".git")

    @property
    def said(self) -> str:
        """How people are told of it."""
        return f"{self.ref} of {self.site}/{self.path}" if self.ref else f"{self.site}/{self.path}"

    def __str__(self) -> str:
        return f"{self.url}@{self.ref}" if self.ref else self.url

    def with_suffix(self) -> Repository:
        """Return the same one under the name that some hosts insist on."""
        return replace(self, path=f"{self.path}.git")


def parse_repository(text: str, field: str = FIELD) -> Repository:
    """Return the repository of an address; raise FieldError for all that is none."""
    scheme, colon, rest = text.strip().partition("://")
    if len(text) > LONGEST or not colon or scheme.lower() != "https":
        raise FieldError(field, f"Only addresses that begin with https:// are fetched. {WRITE_IT}")
    place, _, behind = rest.partition("/")
    if "@" in place:
        raise FieldError(
            field,
            "A name or a token has no place in the address, which is kept with the job. Leave it out, and give the token "
            "by itself (in a terminal: --token-from).",
        )
    host, port = _place(place, field)
    path, at, ref = behind.partition("@")
    page = PAGE.fullmatch(path.rstrip("/")) if not at else None
    if page and (host == "github.com" or page["path"].endswith("/-")):
        path, at, ref = page["path"].removesuffix("/-"), "@", page["ref"]
    steps = path.rstrip("/").split("/")
    if not all(STEP.fullmatch(step) and not step.startswith("-") for step in steps):
        raise FieldError(field, f"The path behind {host} is not a repository's. {WRITE_IT}")
    return Repository(host=host, port=port, path="/".join(steps), ref=_ref(ref, field) if at else "")


def is_commit(ref: str) -> bool:
    """Tell whether a whole commit is meant."""
    return COMMIT.fullmatch(ref) is not None


def without_secret(remote: str) -> str:
    """Return the address of a remote without a password or a token; the name that ssh logs in with stays."""
    scheme, colon, rest = remote.partition("://")
    if not colon:
        name, at, place = remote.rpartition("@")
        return f"{name.partition(':')[0]}@{place}" if at and not remote.startswith(("/", ".")) else remote
    place, slash, path = rest.partition("/")
    name, at, host = place.rpartition("@")
    keeps = at and scheme in ("ssh", "git+ssh", "ssh+git")
    path = path.partition("?")[0].partition("#")[0]
    return f"{scheme}://{name.partition(':')[0]}@{host}{slash}{path}" if keeps else f"{scheme}://{host}{slash}{path}"


def _place(text: str, field: str) -> tuple[str, int]:
    """Return host and port."""
    host, colon, port = text.lower().partition(":")
    host = host.removesuffix(".")
    if not HOST.fullmatch(host) or NUMBER.fullmatch(host):
        raise FieldError(field, f"The host must be written by its name. {WRITE_IT}")
    if colon and not (re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) and 0 < int(port) < 65536):
        raise FieldError(field, f"What stands behind {host}: is no port. {WRITE_IT}")
    return host, int(port) if colon else HTTPS_PORT


def _ref(text: str, field: str) -> str:
    """Return the name of a branch, a tag or a commit."""
    steps = text.split("/")
    odd = ".." in text or any(step.endswith((".", ".lock")) for step in steps)
    if len(text) > LONGEST_REF or text.startswith("-") or odd or not all(REF_STEP.fullmatch(step) for step in steps):
        raise FieldError(field, f"What stands behind the @ is no name of a branch, a tag or a commit. {WRITE_IT}")
    return text
