"""Writes docs/reference/*.md from the code: `make docs`; into another directory where one is named.

A test compares them, so that they cannot fall behind.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import click
from faults import FAULTS, NOT_SHOWN
from pydantic import BaseModel
from reading import default_of, kind_of, lines_of, marked_tests, model_of, table, values
from told import ENVIRONMENT, PLACES

from himalia import container, errors, gpus, log_policies, models, reasons, retrying, site, states
from himalia.cli import jobfile, output
from himalia.cli.reference import reference, sections
from himalia.cli.submit import submit
from himalia.snapshot import ignore, private
from himalia_gpus import request as gpu_request
from himalia_jobs.api import openapi
from himalia_jobs.app import main as service
from himalia_spawner import GPUSpawner
from himalia_spawner.configuration import SCOPES
from himalia_spawner.platform.cli import cli as platform

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
NOTE = "Written from the code by `make docs`; what is changed here by hand is lost.\n"
EXAMPLE_CPUS, EXAMPLE_MEMORY = 4.0, 16 * 1024**3
APART = ("Init", "Ulimits")  #: told in words


def pages() -> dict[str, str]:
    """Return all generated pages by their file names."""
    made: dict[str, Callable[[], str]] = {
        "cli.md": reference,
        "platform.md": platform_page,
        "settings.md": settings_page,
        "job-file.md": job_file_page,
        "left-out.md": left_out_page,
        "gpu-requests.md": gpu_requests_page,
        "states.md": states_page,
        "api.md": api_page,
        "log-policies.md": log_policies_page,
        "container.md": container_page,
        "environment.md": environment_page,
        "spawner.md": spawner_page,
        "faults.md": faults_page,
    }
    return {name: make() for name, make in made.items()}


def platform_page() -> str:
    """Describe the operator's commands."""
    lines = [*sections(platform, "himalia-platform"), *sections(service, "himalia-service")]
    return _page("The operator's commands", "\n".join(lines))


def settings_page() -> str:
    """Describe himalia.toml."""
    parts = [
        "`himalia.toml` is read by hub, job service, spawner and `himalia doctor`. A name that is not known is refused. "
        "Sizes are `512M`, `8G` (powers of 1024); durations `90s`, `30m`, `2h`, `7d`; a number alone is bytes or seconds. "
        "The commented file to start from is [hub_config/himalia.toml](../../hub_config/himalia.toml).\n"
    ]
    for name, field in site.Site.model_fields.items():
        model, repeated = model_of(field.annotation)
        if model is None:
            parts.append(f"## `[{name}]`\n\n{field.description}\n")
            continue
        written = f"[[{name}]]" if repeated else f"[{name}]"
        said = (inspect.getdoc(model) or "").partition(": ")[2]
        rows = [
            (
                f"`{line.name}`",
                kind_of(model, line),
                default_of(model, line),
                model.model_fields[line.name].description or "",
            )
            for line in lines_of(model)
        ]
        settings = table(("setting", "what it may be", "default", "what it does"), rows)
        parts.append(f"## `{written}`\n\n{said[:1].upper() + said[1:]}\n\n{settings}")
    return _page("Settings: `himalia.toml`", "\n".join(parts))


def job_file_page() -> str:
    """Describe himalia-job.toml."""
    helps = {
        option.opts[0].lstrip("-").replace("-", "_"): option.help or ""
        for option in submit.params
        if isinstance(option, click.Option)
    }
    helps["command"] = "What to run: a list of words, or a text that runs through `sh -c`."
    helps["env"] = "A table: environment variables by name."
    helps["param"] = "A table: parameters of the notebook by name."
    rows = [(f"`{key}`", helps[key]) for key in sorted(jobfile.KEYS)]
    text = (
        f"`{jobfile.NAME}` in a directory says what `himalia submit` takes where the command line does not say otherwise. "
        "It is for the command line; the sidebar and the SDK do not read it. An example: "
        "[examples/digits](../../examples/digits/himalia-job.toml).\n"
    )
    return _page(f"Defaults of a directory: `{jobfile.NAME}`", f"{text}\n{table(('key', 'what it does'), rows)}")


def left_out_page() -> str:
    """Describe what is not sent."""
    always = ", ".join(f"`{name}`" for name in sorted(ignore.ALWAYS))
    kinds = [(kind, said) for kind, said in private.KINDS.items()]
    rows = [(f"`{name}`", kind, whose) for name, (kind, whose) in private.PRIVATE.items()]
    text = (
        f"Of a directory that is submitted, these stay where they are: what `{ignore.HIMALIA}` names, or where there is none "
        f"`{ignore.GIT}` (nested ones too), read as git reads them; always {always}; pipes, sockets and devices.\n\n"
        "## In a home\n\n"
        "Directly in a home directory, and in storage, these are left out too. A rule that keeps one by its name "
        "(`!.kaggle`) sends it; rules with `*` do not. In directories below, nothing is left out by these names: what lies "
        "beside your code is yours to choose.\n"
    )
    suspects = ", ".join(f"`{name}`" for name in private.SUSPECTS)
    examples = ", ".join(f"`{ending}`" for ending in private.EXAMPLES)
    beside = (
        "## Beside code\n\n"
        f"Files that are called {suspects} are sent, and named before (in Lab's form, too): they often hold keys and passwords, "
        f"which members of the project's team could read. Names that end in {examples} are not meant.\n"
    )
    kinds_table = table(("kind", "what it is"), kinds)
    return _page("What is not sent", f"{text}\n{kinds_table}\n{table(('name', 'kind', 'whose it is'), rows)}\n{beside}")


def gpu_requests_page() -> str:
    """Describe the request grammar."""
    said = inspect.getdoc(gpu_request) or ""
    text = (
        "What `--gpu`, a profile's `gpus` and the API's `gpus` take.\n\n"
        f"```\n{said}\n```\n\n"
        "Which of these a platform has is the administrator's choice ([`[[gpu_modes]]`](settings.md)); what it has none "
        "of is refused at submit, with what there is. A seat without a size has an equal part of the GPU's memory; the "
        "parts that all seats of a GPU have together are never more than its memory. That memory is counted and watched, "
        "and not fenced: [what a seat protects, and what not](../explanation/ledger.md#seats-and-slices).\n"
    )
    return _page("GPU requests", text)


def states_page() -> str:
    """Describe states, reasons and exit codes."""
    arrows = [f"    [*] --> {states.JobState.QUEUED}"]
    arrows += [
        f"    {before} --> {after}" for before, following in states.NEXT_STATES.items() for after in sorted(following)
    ]
    arrows += [f"    {state} --> [*]" for state in states.JobState if state in states.FINAL_STATES]
    job_rows = [
        (f"`{value}`", comment, ", ".join(f"`{after}`" for after in sorted(states.NEXT_STATES[value])) or "the end")
        for value, comment in values(states.JobState)
    ]
    lease_rows = [(f"`{value}`", comment) for value, comment in values(states.LeaseState)]
    gpu_rows = [(f"`{value}`", comment) for value, comment in values(gpus.SlotHealth)]
    retried = retrying.parse_retry_on(retrying.DEFAULT)
    waits = [reason for reason in reasons.Reason if reason in reasons.WAITING_REASONS]
    ends = [reason for reason in reasons.Reason if reason not in reasons.WAITING_REASONS]
    parts = [
        "## States of a job\n",
        "```mermaid\nstateDiagram-v2\n" + "\n".join(arrows) + "\n```\n",
        table(("state", "where the job is", "what may follow"), job_rows),
        "## Why something waits\n",
        table(("reason", "what people read"), [(f"`{reason}`", reasons.SENTENCES[reason]) for reason in waits]),
        "## How sure an expected start is\n",
        table(("sure", "what it rests on"), [(f"`{value}`", comment) for value, comment in values(reasons.Sure)]),
        "## Why a job ended\n",
        "With `--retries N` a failed job is tried again, at most N times, after the reasons that are marked, unless "
        "`--retry-on` says after which ([causes](#causes-of-a-retry)).\n",
        table(
            ("reason", "what people read", "tried again"),
            [(f"`{reason}`", reasons.SENTENCES[reason], "yes" if retried.covers(reason) else "") for reason in ends],
        ),
        "## Causes of a retry\n",
        f"What `--retry-on`, `retry_on` in `himalia-job.toml` and the API's `retry_on` take; `{retrying.DEFAULT}` unless told.\n",
        f"```\n{inspect.getdoc(retrying) or ''}\n```\n",
        "## States of a lease\n",
        table(("state", "where the lease is"), lease_rows),
        "## States of a GPU\n",
        "Only `ok` is given out. [How a GPU lives in the ledger](../explanation/ledger.md) says how each begins and ends.\n",
        table(("state", "why"), gpu_rows),
        "## Exit codes of `himalia submit`, `wait` and `logs -f`\n",
        table(
            ("code", "meaning"),
            [
                ("0", "the job succeeded"),
                (str(output.TIMED_OUT), "it reached its time limit"),
                (str(output.OURS), "Himalia's own fault, or nothing was run"),
                ("126, 127", "the command cannot be executed; it was not found"),
                (str(output.CANCELLED), "it was cancelled"),
                (str(output.OUT_OF_MEMORY), "it used more memory than it asked for"),
                ("any other", "the exit code of the job's own command"),
            ],
        ),
    ]
    return _page("States and reasons", "\n".join(parts))


def api_page() -> str:
    """Describe the REST API."""
    described = openapi.describe()
    rows = []
    for method, path, said, scope, body, answer, query in openapi.ROUTES:
        asked = f" `?{'&'.join(f'{name}=' for name in query)}`" if query else ""
        rows.append(
            (f"`{method.upper()} {path}`{asked}", said, _link(body), _link(answer), f"`{scope}`" if scope else "none")
        )
    kinds = [errors.HimaliaError, *errors.HimaliaError.__subclasses__()]
    error_rows = [(str(kind.status), f"`{kind.code}`", inspect.getdoc(kind) or "") for kind in kinds if kind.status]
    scope_rows = [
        (f"`{name}`", str(scope["description"]), ", ".join(f"`{below}`" for below in scope.get("subscopes", ())))
        for name, scope in SCOPES.items()
    ]
    parts = [
        f"Below `{described['servers'][0]['url']}/`, JSON in and out. Send a token of the hub: `Authorization: Bearer TOKEN` "
        "(the hub's page *Token* makes one). `GET openapi.json` describes all of this for machines.\n",
        "## Routes\n",
        table(("route", "what it does", "body", "answer", "scope"), rows),
        "## Scopes\n",
        "A token also needs `access:services!service=jobs`. People get it, and `custom:jobs:submit`, from the hub; "
        "whose jobs they see and stop is decided by ownership and teams.\n",
        table(("scope", "what it allows", "brings"), scope_rows),
        "## Errors\n",
        'One shape for all: `{"error": {"code": "…", "message": "what happened, then what to do", "fields": {"…": "…"}}}`. '
        "What is not yours and what is not there get the same 404.\n",
        table(("status", "code", "meaning"), error_rows),
        "## Bodies and answers\n",
        "Times are UTC (RFC 3339), sizes bytes. A request's field that is not known is refused; a client ignores an "
        "answer's field that it does not know.\n",
        *(_model_section(name) for name in models.__all__),
    ]
    return _page("REST API", "\n".join(parts))


def log_policies_page() -> str:
    """Describe the log policies that are shipped."""
    rows = [
        (
            f"`{policy.name}`",
            ", ".join(f"`{pattern}`" for pattern in policy.patterns),
            policy.sentence,
            "as `--retries` says" if policy.retry else "no",
        )
        for policy in log_policies.SHIPPED
    ]
    text = (
        "What the end of a failed job's log is looked through for ([how](../howto/logs.md#what-a-log-says-about-a-failure)); the first that "
        "is found counts. *no*: unless `--retry-on` names that very exit code or signal. A site's own come before these: "
        "[`[[log_policies]]`](settings.md).\n"
    )
    shown = table(("label", "a line with one of these", "what people read", "tried again"), rows)
    return _page("Log policies", f"{text}\n{shown}")


def container_page() -> str:
    """Describe what every container gets."""
    host = container.host_config(cpus=EXAMPLE_CPUS, memory_bytes=EXAMPLE_MEMORY)
    refused = ", ".join(f"`{prefix}*`" for prefix in container.REFUSED_ENV_PREFIXES)
    names = ", ".join(f"`{name}`" for name in sorted(container.REFUSED_ENV))
    labels = [(f"`{value}`", comment) for value, comment in values(container.Label)]
    parts = [
        "Servers and jobs alike, with a GPU or without. Spawner and engine build their containers from the same values.\n",
        "## Paths\n",
        table(("path", "what it is"), [(f"`{getattr(container, name)}`", words) for name, words in PLACES.items()]),
        "## Limits and rights\n",
        f"As the Docker API names them, for {EXAMPLE_CPUS:g} CPUs and {EXAMPLE_MEMORY // 1024**3} GB:\n",
        table(
            ("field of `HostConfig`", "value"),
            [(f"`{name}`", f"`{value}`") for name, value in host.items() if name not in APART],
        ),
        "`Init` is true in servers; in jobs Himalia's launcher is the first process. `Ulimits` (memlock, stack, core, "
        f"nofile: {container.OPEN_FILES:,} open files) are the most that the machine lets a container start with, found out when "
        "the service starts. "
        f"`NVIDIA_VISIBLE_DEVICES={container.NO_GPU['NVIDIA_VISIBLE_DEVICES']}` in all: GPUs come by device request, by UUID.\n",
        "## Labels\n",
        "Several installations can share an Engine; each touches what carries its own id only.\n",
        table(("label", "what it says"), labels),
        "## Environment variables that a job may not set\n",
        f"{refused}, {names}\n",
    ]
    return _page("What a container gets", "\n".join(parts))


def environment_page() -> str:
    """Describe the environment variables."""
    parts = []
    for title, variables in ENVIRONMENT.items():
        parts.append(
            f"## {title}\n\n{table(('variable', 'what it says'), [(f'`{name}`', said) for name, said in variables])}"
        )
    return _page("Environment variables", "\n".join(parts))


def spawner_page() -> str:
    """Describe the Spawner's own traits."""
    own = {
        name: trait
        for name, trait in sorted(GPUSpawner.class_traits(config=True).items())
        if trait.this_class.__module__.startswith("himalia")
    }
    rows = [
        (f"`c.GPUSpawner.{name}`", f"`{trait.default()!r}`", " ".join(str(trait.help).split()))
        for name, trait in own.items()
    ]
    text = (
        "For a hub of your own. `configure(c, …)` sets all of these from `himalia.toml`; those of DockerSpawner and Spawner "
        "are there too.\n"
    )
    return _page("Settings of the Spawner", f"{text}\n{table(('trait', 'default', 'what it does'), rows)}")


def faults_page() -> str:
    """Describe what may go wrong, what people see of it then, and which test shows it."""
    tests = marked_tests(ROOT / "tests")
    parts = [
        "What may go wrong, and what people see of it then: each sentence is what a test shows, and the test is beside it (a test carries the "
        "numbers as `@pytest.mark.fault(17)`). After each of them others' work goes on, and nothing is left over.\n"
    ]
    for title, section in FAULTS.items():
        rows = [
            (
                str(number),
                words,
                "<br>".join(f"{shown.sentence} ({_test(shown.file)})" for shown in tests.get(number, ())),
            )
            for number, words in section.items()
        ]
        parts += [f"## {title}\n", table(("number", "what happens", "what people see"), rows)]
    not_shown = table(("what", "why"), list(NOT_SHOWN.items()))
    parts += ["## Not shown on this kind of machine\n", not_shown]
    return _page("Faults", "\n".join(parts))


def _model_section(name: str) -> str:
    model = getattr(models, name)
    said = inspect.getdoc(model) or ""
    if issubclass(model, Enum):
        return f"### {name}\n\n{said}\n\n{table(('value', 'meaning'), [(f'`{value}`', comment) for value, comment in values(model)])}"
    rows = []
    for line in lines_of(model):
        field = model.model_fields[line.name]
        default = "must be given" if field.is_required() and not issubclass(model, models.base.Answer) else line.comment
        kind = line.annotation.replace(" | ", " or ").replace("None", "null").replace("Moment", "time")
        rows.append(
            (
                f"`{line.name}`",
                f"`{kind}`",
                f"{default}; {line.comment}" if default != line.comment and line.comment else default,
            )
        )
    return f"### {name}\n\n{said}\n\n{table(('field', 'type', 'what it is'), rows)}"


def _link(model: type[BaseModel] | None) -> str:
    return f"[{model.__name__}](#{model.__name__.lower()})" if model is not None else ""


def _test(file: Path) -> str:
    """Return a link to a test's file."""
    return f"[{file.stem}](../../{file.relative_to(ROOT).as_posix()})"


def _page(title: str, text: str) -> str:
    return f"# {title}\n\n{NOTE}\n{text.rstrip()}\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(exist_ok=True)
    for file, page in pages().items():
        (folder / file).write_text(page)
