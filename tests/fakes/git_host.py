"""A host of repositories: git's own server behind https on this machine, with a certificate of its own, and what it was asked."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BACKEND = (
    Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip()) / "git-http-backend"
)


MADE: dict[str, bytes] = {}  #: the certificate of this run of tests


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that arrived."""

    path: str
    token: str  #: what it was authorised with


@dataclass(kw_only=True)
class GitHost:
    """Serves the repositories of a folder."""

    folder: Path
    port: int = 0
    certificate: Path = Path()
    asked: list[Asked] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)  #: repository -> the token that may read it
    #: Also certified as `repositories.test`, a name that nobody can look up.
    moved: dict[str, str] = field(default_factory=dict)  #: repository -> where it says it is
    silent: threading.Event = field(default_factory=threading.Event)  #: set: nothing is answered until it is cleared

    @property
    def site(self) -> str:
        """The host as it is named in addresses."""
        return f"localhost:{self.port}"

    def url(self, name: str) -> str:
        """The address of a repository."""
        return f"https://{self.site}/{name}"

    def make(self, name: str) -> Work:
        """Make a repository, and return a work tree of it."""
        return Work(bare=self.folder / name, tree=self.folder.parent / f"{name.replace('/', '-')}-tree")


@dataclass(kw_only=True)
class Work:
    """A work tree whose commits go to a repository that is served."""

    bare: Path
    tree: Path

    def __post_init__(self) -> None:
        git(None, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(None, "init", "--quiet", "--initial-branch=main", str(self.tree))

    def commit(self, branch: str = "main", **files: str) -> str:
        """Commit files (`a__b` is `a/b`) and return the commit's id."""
        for name, text in files.items():
            file = self.tree / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self.commit_all(branch)

    def commit_all(self, branch: str = "main") -> str:
        """Commit all that lies in the work tree."""
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--allow-empty", "-m", "a step")
        git(self.tree, "push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        return git(self.tree, "rev-parse", "HEAD").strip()


def git(folder: Path | None, *words: str) -> str:
    """Run git as a person would, with nobody's settings."""
    command = [
        "git",
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
        "-c",
        "protocol.file.allow=always",
        *words,
    ]
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def git_host(folder: Path) -> Iterator[GitHost]:
    """Serve until the end of the block."""
    host = GitHost(folder=folder / "served", certificate=folder / "host.pem")
    host.folder.mkdir(parents=True)
    key = folder / "host.key"
    _certify(host.certificate, key)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.host = host
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(host.certificate, key)
    server.context = context
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="git-host")
    thread.start()
    try:
        yield host
    finally:
        host.silent.clear()
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(host.folder)


def _certify(certificate: Path, key: Path) -> None:
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:repositories.test"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    if not MADE:
        subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        MADE.update(key=key.read_bytes(), certificate=certificate.read_bytes())
    key.write_bytes(MADE["key"])
    certificate.write_bytes(MADE["certificate"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host: GitHost
    context: ssl.SSLContext

    def finish_request(self, request, client_address):  # type: ignore[no-untyped-def]  # the handshake belongs to the thread of the request
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError:
            pass  # who asked went away, or trusts us not


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        host = self.server.host
        path, _, query = self.path.partition("?")
        name = path.strip("/").partition("/info/")[0].partition("/git-upload-pack")[0]
        host.asked.append(Asked(path=self.path, token=self._token()))
        while host.silent.is_set():
            threading.Event().wait(0.01)
        if name in host.moved:
            self._head(302, {"Location": host.moved[name] + self.path.removeprefix(f"/{name}")})
        elif name in host.tokens and self._token() != host.tokens[name]:
            self._head(401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._backend(path, query, body)

    def _token(self) -> str:
        kind, _, secret = self.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(secret).decode().partition(":")[2] if kind == "Basic" else ""

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, path: str, query: str, body: bytes) -> None:
        env = {
            "PATH": "/usr/bin:/bin",
            "GIT_PROJECT_ROOT": str(self.server.host.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        said = subprocess.run([BACKEND], input=body, env=env, capture_output=True).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        pairs = dict(line.partition(": ")[::2] for line in head.decode().split("\r\n") if line)
        status = int(pairs.pop("Status", "200").split()[0])
        self._head(status, {"Content-Length": str(len(content))} | pairs)
        self.wfile.write(content)
