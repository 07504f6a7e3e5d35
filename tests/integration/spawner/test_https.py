"""A certificate in himalia.toml is all that https needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a certificate of our own making."""
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {
        '\n# certificate = "/etc/ssl/himalia/cert.pem"\n': f'\ncertificate = "{certificate}"\n',
        '\n# key = "/etc/ssl/himalia/key.pem"\n': f'\nkey = "{key}"\n',
    }


def test_people_log_in_and_work_over_https(platform, person):
    assert platform.place.proxy_url.startswith("https://")
    alice = person("alice")

    alice.start_server("cpu")

    headers = {"Authorization": f"Bearer {alice.token}"}
    address = f"{platform.place.proxy_url}/user/alice/api/status"
    assert httpx.get(address, headers=headers, timeout=30, verify=False).status_code == 200
