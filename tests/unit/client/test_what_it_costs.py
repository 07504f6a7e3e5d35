"""What is done once stays done once, however many files there are."""

from __future__ import annotations

import ssl

from himalia.client.http import Http
from himalia.snapshot import Scan, pack, scan


def test_telling_how_far_packing_is_does_not_count_all_files_for_each(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / str(number)).write_text("x")
    counted = []
    count = Scan.size_bytes.fget
    monkeypatch.setattr(Scan, "size_bytes", property(lambda found: counted.append(found) or count(found)))
    told = []

    pack(scan(tmp_path), progress=lambda *news: told.append(news))

    assert told[-1] == ("hashing", 50, 50, 50, 50)
    assert len(counted) == 1


def test_certificates_are_loaded_only_where_there_are_some_to_check(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    loaded = []
    monkeypatch.setattr(
        ssl, "create_default_context", lambda **_: loaded.append(1) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )

    Http("http://127.0.0.1:8082/services/jobs/api", "token").close()
    assert loaded == []
    Http("https://gpu.example.org/services/jobs/api", "token").close()
    assert loaded
