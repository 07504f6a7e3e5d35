"""What the generated pages say that no line of code says."""

from __future__ import annotations

PLACES = {
    "HOME": "home of a server, its root directory; kept between starts",
    "STORAGE": "a person's storage: the same in all their servers and jobs",
    "TEAM": "below it a directory for each team of the person",
    "WORKSPACE": "workspace of a job, where its command starts (setting `workspace_path`)",
    "ARTIFACTS": "what a job leaves here is collected",
    "LAUNCHER": "the first process of a job, read-only",
    "RUN": "log and exit record of the attempt",
    "JOB_HOME": "`HOME` of a job, gone with the attempt",
}

ENVIRONMENT: dict[str, list[tuple[str, str]]] = {
    "In jobs": [
        ("HIMALIA_JOB_ID", "id of the job"),
        ("HIMALIA_ATTEMPT", "id of the attempt: the job's id, a dot, a number"),
        ("HIMALIA_PROJECT", "project"),
        ("HIMALIA_EXPERIMENT", "experiment; empty where there is none"),
        ("HIMALIA_OWNER", "owner of the project: `user:NAME` or `team:NAME`"),
        ("HIMALIA_USER", "who submitted it (in servers too: whose server it is)"),
        ("HIMALIA_WORKSPACE", "path of the workspace"),
        ("HIMALIA_ARTIFACTS", "path of the artifacts"),
        ("HIMALIA_STORAGE", "path of the person's storage"),
        (
            "HIMALIA_GPUS",
            "UUIDs of the GPUs, with commas between (in servers too); of a MIG device its own, of a seat its GPU's",
        ),
        ("PYTHONUNBUFFERED", "1, so that output is in the log as it is printed"),
        ("USER, LOGNAME, HOME", "always set, so that any image works"),
        ("NVIDIA_VISIBLE_DEVICES", "`void`; GPUs come by device request"),
    ],
    "In servers": [
        ("HIMALIA_API_URL", "the job service, straight, not through the proxy"),
        ("HIMALIA_URL", "address that people type; empty where it cannot be known"),
        ("PYTHONNOUSERSITE", "1 after a *clean start*: packages installed with pip are left out (in jobs: `--clean`)"),
    ],
    "From our images": [
        ("PYTHONUSERBASE", "where `pip install` puts what a person installs: in their storage, by image"),
        ("PIP_BREAK_SYSTEM_PACKAGES", "1, so that pip installs beside the image's own Python packages"),
        ("XDG_CACHE_HOME, HF_HOME", "caches, in the person's storage"),
    ],
    "Read by `himalia` and `import himalia`": [
        ("HIMALIA_API_URL", "the job service; set in servers, else `himalia login` has kept it"),
        ("HIMALIA_TOKEN", "token to use; else the server's own `JUPYTERHUB_API_TOKEN`, else that of `himalia login`"),
        ("XDG_CONFIG_HOME, XDG_CACHE_HOME", "where the login and the digests of known files are kept"),
    ],
    "Read by the server extension": [
        (
            "HIMALIA_PAGE_API_URL",
            "the job service as the browser reaches it, where that is another origin than the hub's",
        ),
        ("HIMALIA_TOKEN", "token for a notebook server without a hub; under a hub it is not used"),
        ("HIMALIA_STORAGE, HIMALIA_TEAM", "other places than `/storage` and `/team`"),
        ("JUPYTERHUB_HOST, JUPYTERHUB_BASE_URL", "set by the hub: where it is"),
    ],
    "Read by the platform": [
        ("HIMALIA_CONFIG", "the operator's file; else `himalia.toml` in the data directory"),
        ("HIMALIA_DATA", "data directory; it wins over `[platform] data`; else `./data`"),
        (
            "HIMALIA_ROOT",
            "directory that was checked out (`hub_config`, `proxy`, `examples`), where it is not beside the code",
        ),
        ("HIMALIA_PROXY", "directory of configurable-http-proxy, where it is not `proxy/node_modules/…`"),
        ("HIMALIA_LAUNCHER", "the launcher, where it is not `build/launcher/himalia-launcher`"),
        ("HIMALIA_LOG", "how much the job service writes: `DEBUG`, `INFO` (default), `WARNING`"),
        ("DOCKER_HOST", "address of the Docker Engine; else its usual socket"),
        ("SUDO_UID, SUDO_GID", "set by sudo: whose the demo's artifacts are to be"),
    ],
    "Read while building and testing": [
        ("HIMALIA_BUILD", "directory for what is built; else `build`"),
        ("HIMALIA_PULL", "0: never try to pull the base image, debootstrap it"),
        ("DEBIAN_MIRROR", "mirror for debootstrap"),
        ("HIMALIA_TEST_IMAGE", "image that the tests run; else `himalia/server:dev`"),
        ("HIMALIA_SCREENSHOTS", "1: the browser tests write docs/images anew"),
        ("HIMALIA_CAMPAIGN", "1: long runs of faults (`make campaign` sets it)"),
        ("HIMALIA_CAMPAIGN_KILLS", "kills of service, sampler and hub in the campaign; else 500"),
        ("HIMALIA_CAMPAIGN_SERVICE_KILLS", "kills of the service alone, on an Engine in memory; else 240"),
        ("HIMALIA_CAMPAIGN_CUTS", "emulated power cuts in the campaign; else 24"),
        ("HIMALIA_CAMPAIGN_STARTS", "starts of servers and jobs in the campaign; else 2000"),
        ("HIMALIA_CAMPAIGN_SEED", "seed of the campaign; else one that is drawn and printed"),
    ],
}
