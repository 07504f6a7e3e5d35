"""What the processes of one installation share: its id and its tokens, under the data directory (0600)."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from .ids import new_id


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The id of the installation and the tokens its processes know each other by."""

    installation: str
    service_token: str  #: of the job service, for the hub
    spawner_token: str  #: of the spawner, for the job service
    metrics_token: str  #: of whoever reads the job service's metrics, such as Prometheus
    proxy_token: str  #: between hub and proxy
    cookie_secret: str  #: of the job service's own cookies


def load_credentials(data: Path) -> Credentials:
    """Return the installation's credentials; what is missing is made, once, whoever comes first."""
    folder = data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Credentials(
        installation=kept(folder / "installation", new_id()),
        service_token=kept(folder / "service_token", secrets.token_hex(24)),
        spawner_token=kept(folder / "spawner_token", secrets.token_hex(24)),
        metrics_token=kept(folder / "metrics_token", secrets.token_hex(24)),
        proxy_token=kept(folder / "proxy_token", secrets.token_hex(24)),
        cookie_secret=kept(folder / "service_cookie_secret", secrets.token_hex(32)),
    )


def kept(file: Path, value: str) -> str:
    """Return the file's content; write the value first where there is none (a link, so that two writers agree)."""
    if not file.exists():
        draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text().strip()
