"""What lies in a home directory and is no code: keys and logins, histories, caches. Left out where a home itself is submitted.

The names are those that the programs document (`PRIVATE` says whose each is). A rule that names one (`!.ssh` in the
directory's `.himaliaignore`) sends it after all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate

SECRETS = "secrets"
HISTORY = "history"
CACHE = "cache"

#: What is said of each kind.
KINDS: Mapping[str, str] = {
    SECRETS: "keys, passwords, tokens, and settings that hold them",
    HISTORY: "what was typed; passwords among it",
    CACHE: "what programs can make or fetch anew, and packages that jobs have without it",
}

#: Name: its kind, and whose it is.
PRIVATE: Mapping[str, tuple[str, str]] = {
    ".ssh": (SECRETS, "OpenSSH, ssh(1)"),
    ".gnupg": (SECRETS, "GnuPG, gpg(1)"),
    ".password-store": (SECRETS, "pass(1)"),
    ".netrc": (SECRETS, "curl, git, Weights & Biases: netrc(5)"),
    ".git-credentials": (SECRETS, "git-credential-store(1)"),
    ".aws": (SECRETS, "AWS command line, `credentials`"),
    ".azure": (SECRETS, "Azure command line"),
    ".oci": (SECRETS, "Oracle Cloud command line"),
    ".boto": (SECRETS, "gsutil, boto"),
    ".s3cfg": (SECRETS, "s3cmd"),
    ".config": (SECRETS, "gcloud, gh, rclone, browsers, `himalia login`: XDG Base Directory"),
    ".kube": (SECRETS, "kubectl, `config`"),
    ".docker": (SECRETS, "docker login, `config.json`"),
    ".vault-token": (SECRETS, "Vault"),
    ".pypirc": (SECRETS, "twine"),
    ".npmrc": (SECRETS, "npm"),
    ".cargo": (SECRETS, "cargo, `credentials.toml`"),
    ".pgpass": (SECRETS, "PostgreSQL, libpq"),
    ".my.cnf": (SECRETS, "MySQL"),
    ".mylogin.cnf": (SECRETS, "MySQL"),
    ".kaggle": (SECRETS, "Kaggle, `kaggle.json`"),
    ".huggingface": (SECRETS, "Hugging Face, before its files moved to `.cache`"),
    ".databrickscfg": (SECRETS, "Databricks"),
    ".jupyter": (SECRETS, "Jupyter, a server's password"),
    ".local": (SECRETS, "keyrings, Jupyter's cookie secret and connection files: XDG Base Directory"),
    ".mozilla": (SECRETS, "Firefox"),
    ".pki": (SECRETS, "NSS, Chromium"),
    ".Xauthority": (SECRETS, "xauth(1)"),
    ".bash_history": (HISTORY, "bash(1)"),
    ".zsh_history": (HISTORY, "zsh"),
    ".python_history": (HISTORY, "Python"),
    ".node_repl_history": (HISTORY, "Node.js"),
    ".psql_history": (HISTORY, "PostgreSQL, psql"),
    ".mysql_history": (HISTORY, "MySQL"),
    ".sqlite_history": (HISTORY, "SQLite"),
    ".Rhistory": (HISTORY, "R"),
    ".ipython": (HISTORY, "IPython, `history.sqlite`"),
    ".lesshst": (HISTORY, "less(1)"),
    ".viminfo": (HISTORY, "Vim"),
    ".cache": (CACHE, "XDG Base Directory; Hugging Face's models and token"),
    ".npm": (CACHE, "npm"),
    ".conda": (CACHE, "conda"),
    ".nv": (CACHE, "CUDA, compiled kernels"),
    ".triton": (CACHE, "Triton, compiled kernels"),
    ".himalia": (CACHE, "Himalia, in storage: the packages that you installed with pip"),
}


#: What often holds a key or a password and lies beside code: it is sent, and told before.
SUSPECTS = (
    *(".env", ".env.*", ".netrc", "_netrc", ".pgpass", ".git-credentials", ".pypirc", ".npmrc"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx"),
    *("credentials.json", "service-account*.json", "kaggle.json", "secrets.toml", "secrets.yaml", "secrets.json"),
)
_SUSPECT = re.compile("|".join(map(translate, SUSPECTS)))
EXAMPLES = (".example", ".sample", ".template", ".dist", ".pub")  #: what ends so is none
MOST_NAMED = 3


def kind_of_private(name: str) -> str | None:
    """Return the kind of what lies in a home under this name; None for what may be code."""
    kind, _ = PRIVATE.get(name, (None, ""))
    return kind


def suspects(paths: Iterable[str]) -> list[str]:
    """Return the files among these whose names are those of keys and passwords."""
    return [path for path in paths if _is_suspect(path.rpartition("/")[2])]


def told_of(found: list[str]) -> str:
    """Return what is said of such files before they are sent."""
    named = ", ".join(found[:MOST_NAMED]) + (f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")
    verbs = (
        ("looks like a key or a password, and is", "it")
        if len(found) == 1
        else ("look like keys or passwords, and are", "them")
    )
    return (
        f"{named} {verbs[0]} sent: who may see the project's jobs can read {verbs[1]}. If that is not meant, leave "
        f"{verbs[1]} out in .himaliaignore."
    )


def _is_suspect(name: str) -> bool:
    return _SUSPECT.match(name) is not None and not name.endswith(EXAMPLES)
