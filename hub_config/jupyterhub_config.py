"""The hub's configuration: all of it comes from himalia.toml; `jupyterhub_config.d/*.py` beside that file comes after."""

from himalia_spawner import configure
from himalia_spawner.settings import config_file

c = get_config()  # noqa: F821  # JupyterHub provides it
configure(c, config_file())

# Your own settings, one file or several: `c = get_config()`, then any `c.… = …` of JupyterHub. They win.
for extra in sorted((config_file().resolve().parent / "jupyterhub_config.d").glob("*.py")):
    load_subconfig(str(extra))  # noqa: F821  # JupyterHub provides it
