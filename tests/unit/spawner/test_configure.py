"""One line configures a hub, and leaves room for an administrator's own."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config, LazyConfigValue

from himalia.credentials import load_credentials
from himalia.errors import LocalError
from himalia_spawner import GPUSpawner, configure
from himalia_spawner.configuration import ACCESS, LEASE, SUBMIT, public_address
from himalia_spawner.passwords import load_passwords

GATEWAY = "172.30.0.1"


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test ask a Docker Engine."""
    monkeypatch.setattr("himalia_spawner.configuration.servers_gateway", lambda installation: GATEWAY)
    monkeypatch.delenv("HIMALIA_DATA", raising=False)


def written(folder: Path, text: str = "") -> Path:
    """Write a himalia.toml."""
    file = folder / "himalia.toml"
    file.write_text(text)
    return file


def value_of(found: Any, empty: Any) -> Any:
    """Return a setting also where it is one that adds up."""
    return found.get_value(empty) if isinstance(found, LazyConfigValue) else found


def configured(folder: Path, text: str = "", c: Config | None = None) -> Config:
    """Return the configuration that a himalia.toml gives."""
    config = Config() if c is None else c
    configure(config, written(folder, text))
    return config


def services(c: Config) -> dict[str, dict]:
    """Return the hub's services by name."""
    return {service["name"]: service for service in value_of(c.JupyterHub.services, [])}


def roles(c: Config) -> dict[str, dict]:
    """Return the hub's roles by name."""
    return {role["name"]: role for role in value_of(c.JupyterHub.load_roles, [])}


def test_an_empty_file_is_a_whole_platform(tmp_path):
    c = configured(tmp_path)

    assert c.JupyterHub.bind_url == "http://127.0.0.1:8000/"
    assert (c.JupyterHub.hub_ip, c.JupyterHub.hub_port) == (GATEWAY, 8081)
    assert c.JupyterHub.db_url == f"sqlite:///{tmp_path}/data/jupyterhub.sqlite"
    assert c.JupyterHub.spawner_class is GPUSpawner
    assert c.GPUSpawner.service_url == f"http://{GATEWAY}:8082/services/jobs/api"
    assert c.JupyterHub.cleanup_servers is False


def test_the_hub_neither_starts_nor_stops_the_proxy(tmp_path):
    c = configured(tmp_path)

    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.JupyterHub.cleanup_proxy is False
    assert c.ConfigurableHTTPProxy.api_url == "http://127.0.0.1:8001"


def test_the_job_service_is_external_and_does_not_keep_a_hub_waiting(tmp_path):
    c = configured(tmp_path)
    jobs = services(c)["jobs"]

    assert "command" not in jobs
    assert jobs["url"] == f"http://{GATEWAY}:8082"
    assert jobs["timeout"] <= 5
    assert roles(c)["himalia-jobs"]["services"] == ["jobs"]
    assert {"read:users", "list:users", "read:groups", "proxy"} <= set(roles(c)["himalia-jobs"]["scopes"])


def test_the_job_service_stops_and_starts_servers_and_the_hub_watches_those_without_gpus(tmp_path):
    c = configured(tmp_path)
    culler = services(c)["idle-culler"]

    assert {"start:servers", "delete:servers"} <= set(roles(c)["himalia-jobs"]["scopes"])
    assert culler["command"][1:] == ["-P", "-m", "himalia_spawner.idle_culler", "--timeout=86400", "--cull-every=300"]
    assert culler["environment"] == {"HIMALIA_API_URL": f"http://{GATEWAY}:8082/services/jobs/api"}
    assert "api_token" not in culler
    assert "delete:servers" in roles(c)["himalia-idle-culler"]["scopes"]


def test_the_culler_can_be_switched_off(tmp_path):
    c = configured(tmp_path, '[idle]\nwithout_gpus_after = "never"\n')

    assert "idle-culler" not in services(c) and "himalia-idle-culler" not in roles(c)


def test_the_spawner_alone_takes_leases(tmp_path):
    c = configured(tmp_path)

    assert [name for name, role in roles(c).items() if LEASE in role["scopes"]] == ["himalia-spawner"]
    assert services(c)["spawner"]["api_token"] == c.GPUSpawner.service_token


def test_scopes_of_tokens_are_lists_without_filters_on_our_own(tmp_path):
    c = configured(tmp_path)

    for scopes in (c.Spawner.server_token_scopes, c.Spawner.oauth_client_allowed_scopes):
        assert isinstance(scopes, list)
        assert {ACCESS, SUBMIT} <= set(scopes)
        assert not [scope for scope in scopes if scope.startswith("custom:") and "!" in scope]
    assert {"users:activity!user", "access:servers!server"} <= set(c.Spawner.server_token_scopes)


def test_no_token_is_longer_than_the_hub_takes(tmp_path):
    c = configured(tmp_path)

    given = [service["api_token"] for service in services(c).values() if "api_token" in service]
    for token in (*given, c.ConfigurableHTTPProxy.auth_token):
        assert 32 <= len(token) <= 64


def test_limits_come_from_leases_and_never_from_traits(tmp_path):
    c = configured(tmp_path)

    assert "mem_limit" not in c.Spawner
    assert "mem_limit" not in c.GPUSpawner
    assert "image" not in c.GPUSpawner


def test_nothing_waits_in_line_inside_the_hub(tmp_path):
    c = configured(tmp_path)

    assert c.Spawner.start_timeout <= 300
    assert 0 < c.JupyterHub.concurrent_spawn_limit <= 100


def test_the_service_may_start_and_stop_servers_and_no_more_of_them(tmp_path):
    scopes = set(roles(configured(tmp_path))["himalia-jobs"]["scopes"])

    assert {"start:servers", "delete:servers", "read:servers"} <= scopes
    assert not {scope for scope in scopes if scope.startswith(("access:servers", "admin:", "tokens"))}


def test_activity_is_not_what_the_proxy_sees(tmp_path):
    assert configured(tmp_path).JupyterHub.last_activity_interval == 0


def test_an_administrators_own_services_roles_and_groups_stay(tmp_path):
    c = Config()
    c.JupyterHub.services = [{"name": "mine", "api_token": "x" * 32}]
    c.JupyterHub.load_roles = [{"name": "mine", "scopes": ["list:users"], "services": ["mine"]}]
    c.JupyterHub.load_groups = {"old": {"users": ["eve"]}}
    c.JupyterHub.custom_scopes = {"custom:mine": {"description": "mine"}}
    c.JupyterHub.extra_user_scopes = {"custom:mine"}

    configured(tmp_path, '[teams]\nvision = ["alice"]\n', c)

    assert set(services(c)) == {"mine", "himalia-metrics", "jobs", "spawner", "idle-culler"}
    assert "mine" in roles(c)
    assert c.JupyterHub.load_groups == {"old": {"users": ["eve"]}, "vision": {"users": ["alice"]}}
    assert {"custom:mine", SUBMIT} <= set(c.JupyterHub.custom_scopes)
    assert c.JupyterHub.extra_user_scopes == {"custom:mine", ACCESS, SUBMIT}


def test_what_an_administrator_sets_afterwards_wins(tmp_path):
    c = configured(tmp_path)

    c.Spawner.default_url = "/tree"
    c.JupyterHub.services.append({"name": "late", "api_token": "x" * 32})

    assert c.Spawner.default_url == "/tree"
    assert set(services(c)) == {"jobs", "spawner", "idle-culler", "late", "himalia-metrics"}


def test_the_trial_has_random_passwords_that_only_root_reads(tmp_path):
    c = configured(tmp_path, '[auth]\nadmins = ["root"]\n')
    passwords = load_passwords(tmp_path / "data")

    assert c.JupyterHub.authenticator_class == "shared-password"
    assert c.SharedPasswordAuthenticator.user_password == passwords.user
    assert c.SharedPasswordAuthenticator.admin_password == passwords.admin
    assert len(passwords.admin) >= 32
    for file in (tmp_path / "data" / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_passwords(tmp_path / "data") == passwords  # made once
    assert roles(c)["himalia-admins"]["users"] == ["root"]


def test_any_authenticator_is_taken_by_name_with_its_own_settings(tmp_path):
    c = configured(
        tmp_path,
        '[auth]\nauthenticator = "native"\nallow_all = false\nallowed_users = ["alice"]\n'
        "[auth.options.NativeAuthenticator]\nopen_signup = true\nminimum_password_length = 12\n",
    )

    assert c.JupyterHub.authenticator_class == "himalia_spawner.native.NativeLogin"
    assert c.NativeAuthenticator.open_signup is True
    assert c.NativeAuthenticator.minimum_password_length == 12
    assert (c.Authenticator.allow_all, c.Authenticator.allowed_users) == (False, {"alice"})
    assert "user_password" not in c.SharedPasswordAuthenticator


def test_a_certificate_makes_it_https(tmp_path):
    text = '[platform]\naddress = "0.0.0.0"\nport = 443\n[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'

    assert configured(tmp_path, text).JupyterHub.bind_url == "https://0.0.0.0:443/"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", "http://127.0.0.1:8000/"),
        ('[platform]\naddress = "0.0.0.0"\n', ""),
        ('[platform]\npublic_url = "https://gpu.example.org"\n', "https://gpu.example.org/"),
        ('[platform]\npublic_url = "https://example.org"\nbase_url = "gpu"\n', "https://example.org/gpu/"),
    ],
)
def test_servers_learn_the_address_that_people_type(tmp_path, text, address):
    config = Config()
    site = configure(config, written(tmp_path, text))

    assert public_address(site) == address
    assert value_of(config.Spawner.environment, {})["HIMALIA_URL"] == address


def test_the_form_knows_the_profiles_for_servers(tmp_path):
    text = '[[profiles]]\nname = "a"\n[[profiles]]\nname = "b"\nservers = false\n'

    assert [profile["name"] for profile in configured(tmp_path, text).GPUSpawner.known_profiles] == ["a"]


def test_a_mistake_in_the_file_is_told_with_the_settings_name(tmp_path):
    with pytest.raises(LocalError, match=r"platform\.prot"):
        configured(tmp_path, "[platform]\nprot = 1\n")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gpu.example.org", "write the whole address"),
        ("ftp://gpu.example.org/", "write the whole address"),
        ("https://example.org/himalia/", "set as base_url"),
        ("https://example.org/?next=x", "set as base_url"),
    ],
)
def test_an_address_that_would_make_wrong_links_is_refused(tmp_path, url, said):
    with pytest.raises(LocalError, match=rf"platform\.public_url: .*{said}"):
        configured(tmp_path, f'[platform]\npublic_url = "{url}"\n')


@pytest.mark.parametrize("path", ["/gpu", "gpu/", "/gpu/", "/gpu/lab.1"])
def test_a_path_is_taken_however_its_slashes_are_written(tmp_path, path):
    address = configured(tmp_path, f'[platform]\nbase_url = "{path}"\n').JupyterHub.bind_url

    assert address == f"http://127.0.0.1:8000/{path.strip('/')}/"


@pytest.mark.parametrize("path", ["//gpu", "/../gpu", "/gpu?x", "/g pu", "https://example.org/gpu", "/gpu/%2e%2e/"])
def test_a_path_that_a_browser_would_read_otherwise_is_refused(tmp_path, path):
    with pytest.raises(LocalError, match=r"platform\.base_url: .*plain letters"):
        configured(tmp_path, f'[platform]\nbase_url = "{path}"\n')


def test_two_processes_that_come_first_agree_on_the_tokens(tmp_path):
    assert load_credentials(tmp_path) == load_credentials(tmp_path)
