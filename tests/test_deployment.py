"""The container, without Docker: its command and its health check are run here, and the files agree."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from engine.jobs import policy
from engine.models.identity import ROOT
from pages.widgets.server import HEALTH, routes
from tests.browser import served

PORT = "8501"
TIMEOUT = 20  # seconds


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, arguments) for name, _, arguments in (line.partition(" ") for line in lines)]


def arguments(instruction: str) -> list[str]:
    return [given for name, given in instructions() if name == instruction]


(COMMAND,) = (json.loads(given) for given in arguments("CMD"))
(HEALTH_CHECK,) = (json.loads(given.partition("CMD ")[2]) for given in arguments("HEALTHCHECK"))
ENVIRONMENT = dict(pair.split("=", 1) for given in arguments("ENV") for pair in shlex.split(given))
COPIED = [source for given in arguments("COPY") for source in given.split()[:-1]]
SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["prunescope"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, started by the Dockerfile's command on another port, for visitors of two names."""
    names = {"STREAMLIT_SERVER_ALLOWED_HOSTS": "prune.example.org *.hf.space"}
    with served.app(tmp_path_factory.mktemp("home"), {**os.environ, **names}, COMMAND) as address:
        yield address


def status(address: str, path: str, host: str) -> int:
    try:
        with urlopen(Request(address + path, headers={"Host": host}), timeout=TIMEOUT) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("host", "expected"),
    [("prune.example.org", 200), ("me-prunescope.hf.space", 200), ("localhost", 403), ("evil.example", 403)],
)
def test_the_container_answers_to_the_names_in_its_environment(
    address: str, host: str, expected: int
) -> None:
    assert status(address, "/", host) == expected


def test_the_health_check_succeeds_if_the_app_answers(address: str) -> None:
    def exit_code(address: str) -> int:
        assert HEALTH_CHECK[:2] == ["python", "-c"]
        code = HEALTH_CHECK[2].replace(f"http://127.0.0.1:{PORT}", address)
        return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode

    assert exit_code(address) == 0
    assert exit_code("http://127.0.0.1:9") != 0


def test_the_health_check_asks_for_a_route_of_the_app() -> None:
    (url,) = re.findall(r"http://[^']+", HEALTH_CHECK[2])
    assert url == f"http://127.0.0.1:{PORT}{HEALTH}"
    assert HEALTH in [route.path for route in routes()]


def test_every_port_is_the_same() -> None:
    assert f"--server.port={PORT}" in COMMAND
    assert arguments("EXPOSE") == [PORT]
    assert [published.split(":")[-1] for published in SERVICE["ports"]] == [PORT]
    header = (ROOT / "assets" / "space.yaml").read_text(encoding="utf-8")
    assert header.startswith("---\n") and header.endswith("---\n")
    (space,) = filter(None, yaml.safe_load_all(header))
    assert (space["sdk"], str(space["app_port"])) == ("docker", PORT)
    assert len(space["short_description"]) <= 60


def ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps a file from the build: the last pattern that matches it, or a directory
    of it, decides.
    """
    answer = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        candidates = [*prefixes, *parts] if line.startswith("**/") else prefixes
        if line and not line.startswith("#") and any(fnmatch(name, pattern) for name in candidates):
            answer = not line.startswith("!")
    return answer


def test_everything_copied_exists_and_nothing_else_is_sent() -> None:
    for source in COPIED:
        path = ROOT / source
        assert path.exists() and not ignored(source), source
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False
    ).stdout.splitlines()
    sent = {path for path in tracked if not ignored(path)}
    assert all(any(path == source or path.startswith(f"{source}/") for source in COPIED) for path in sent)
    assert all(ignored(path) for path in (".streamlit/secrets.toml", ".git/config", "out/run/record.json"))
    assert ignored("engine/jobs/__pycache__/serve.cpython-312.pyc")


def test_the_data_is_on_a_volume_of_an_unprivileged_user() -> None:
    (volume,) = arguments("VOLUME")
    assert all(ENVIRONMENT[name].startswith(f"{volume}/") for name in ("PRUNESCOPE_HOME", "HF_HOME"))
    assert [mount.split(":")[1] for mount in SERVICE["volumes"]] == [volume]
    names = [name for name, _ in instructions()]
    assert arguments("USER") == ["prunescope"] and names.index("USER") < names.index("CMD")
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("COPY", "RUN"))


def test_compose_publishes_on_this_machine_and_limits_memory() -> None:
    assert [port.startswith("${PRUNESCOPE_ADDRESS:-127.0.0.1}:") for port in SERVICE["ports"]] == [True]
    assert SERVICE["mem_limit"]


def test_compose_passes_the_settings_of_public_mode_and_sets_none() -> None:
    passed = SERVICE["environment"]
    assert re.findall(r"`(PRUNESCOPE_PUBLIC_\w+)`", policy.__doc__) == passed[2:-1]
    assert passed[1] == policy.VARIABLE and ENVIRONMENT.keys().isdisjoint(passed)


@pytest.mark.parametrize(
    "name", re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text(encoding="utf-8"))
)
def test_every_setting_of_compose_is_documented(name: str) -> None:
    assert f"| `{name}` |" in Path(ROOT / "assets" / "deployment.md").read_text(encoding="utf-8")
