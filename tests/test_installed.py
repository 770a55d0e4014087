"""The installed package, used from other directories.

It is built from the source distribution, into an environment that sees the packages of this one, so that
nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from importlib.metadata import Distribution
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from engine import APP, COMMAND, VERSION
from engine.models.identity import ROOT
from tests.browser import served

pytest.importorskip("hatchling", reason="the package is built with hatchling (requirements-dev.txt)")

PACKAGES = [path for path in sys.path if Path(path).name == "site-packages"]
EXTRAS = {"lm-eval": "tasks", "gguf": "gguf", "accelerate": "gguf"}
SMALL = ("--samples", "2", "--length", "16", "--evaluation", "none")
TIMEOUT = 300  # seconds


class Installed(NamedTuple):
    """An environment with the package.

    Attributes:
        python: its interpreter.
        site: its directory of packages.
        empty: a directory without files.
        taken: a directory with modules of the names that Prunescope's have.
        home: where runs are stored.
    """

    python: Path
    site: Path
    empty: Path
    taken: Path
    home: Path

    def run(self, *arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        command = [str(self.python), *arguments]
        environment = {**ENVIRONMENT, "PRUNESCOPE_HOME": str(self.home)}
        return subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("installed")
    call("hatchling", "build", "-t", "sdist", "-d", str(directory))
    (source,) = directory.glob("*.tar.gz")
    venv.create(directory / "env", symlinks=True)
    python = directory / "env" / "bin" / "python"
    site = next((directory / "env").glob("lib/*/site-packages"))
    (site / "shared.pth").write_text("\n".join(PACKAGES))
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "--quiet"]
    call("pip", "--python", str(python), "install", *options, str(source))
    found = Installed(python, site, *(directory / name for name in ("empty", "taken", "home")))
    for folder in found[2:]:
        folder.mkdir()
    for name in ("engine", "pages", "app"):
        (found.taken / f"{name}.py").write_text("raise RuntimeError('another module')")
    return found


def call(module: str, *arguments: str) -> None:
    """Run a module of this environment in the repository."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_only_the_package_is_added_to_the_environment(installed: Installed) -> None:
    assert {path.name for path in installed.site.iterdir()} == {
        "prunescope",
        f"prunescope-{VERSION}.dist-info",
        "shared.pth",
    }
    package = installed.site / "prunescope"
    assert {path.name for path in package.iterdir()} - {"__pycache__"} == {
        "__init__.py",
        "__main__.py",
        ".streamlit",
        "app.py",
        "assets",
        "engine",
        "pages",
    }
    assert not (package / "engine" / "installed").exists()


def test_it_accepts_the_pinned_releases_and_those_that_were_tried(installed: Installed) -> None:
    metadata = Distribution.at(installed.site / f"prunescope-{VERSION}.dist-info")
    accepted = {given.name: given for given in map(Requirement, metadata.requires or ())}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if not line.startswith("#")]
    assert {given.name.replace("_", "-") for given in pinned} == accepted.keys() - EXTRAS.keys()
    for given in pinned:
        (pin,) = given.specifier
        assert pin.version in accepted[given.name.replace("_", "-")].specifier
        major, minor, *_ = Version(pin.version).release
        assert f"{major + 1}.0" not in accepted[given.name.replace("_", "-")].specifier
        if given.name in ("torch", "transformers"):
            assert f"{major}.{minor + 1}.0" not in accepted[given.name].specifier
    assert "2.11.0" in accepted["torch"].specifier
    for name, extra in EXTRAS.items():
        assert str(accepted[name].marker) == f'extra == "{extra}"'
    assert metadata.version == VERSION


def test_the_command_line_works_among_modules_of_the_same_names(installed: Installed) -> None:
    command = str(installed.python.with_name("prunescope"))
    done = installed.run(command, "prune", *SMALL, "--out", "run", directory=installed.taken)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((installed.taken / "run" / "record.json").read_text())
    assert (record["state"], len(record["blocks"])) == ("finished", 8)


def test_the_app_starts_in_any_directory_with_its_own_configuration(installed: Installed) -> None:
    (installed.taken / ".streamlit").mkdir()
    (installed.taken / ".streamlit" / "config.toml").write_text('[server]\naddress = "0.0.0.0"\n')
    with served.app(
        installed.home,
        ENVIRONMENT,
        ("prunescope", "--server.headless=true"),
        python=installed.python,
        directory=installed.taken,
    ) as address:
        assert status(address, "127.0.0.1") == 200
        assert status(address, "stranger.example") == 403
        log = (installed.home / "log").read_text()
    assert "URL: http://127.0.0.1:" in log and "0.0.0.0" not in log


def status(address: str, host: str) -> int:
    try:
        with urlopen(Request(address, headers={"Host": host}), timeout=TIMEOUT) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


CHECK_THE_WORKER = """
import os
os.environ["PYTHONSAFEPATH"] = "1"
from engine.cli.diagnosis import CHECKS
if __name__ == "__main__":
    print([finding.state for finding in CHECKS["Worker"]("Worker")])
"""


@pytest.fixture(scope="module")
def printed(installed: Installed, corpus: Path) -> list[str]:
    """The lines that the README's example for notebooks prints, with fewer and shorter texts, and then the
    check of the background engine's worker in the same process.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(from prunescope .*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert "samples=16)" in example
    quick = example.replace("samples=16)", f"samples=2, length=16, evaluation={str(corpus)!r})")
    done = installed.run("-c", quick + CHECK_THE_WORKER, directory=installed.empty)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_example_for_notebooks_runs(printed: list[str]) -> None:
    *blocks, perplexity, best = printed[:-1]
    assert [line.split(":")[0] for line in blocks] == [f"block {index}" for index in range(8)]
    assert re.fullmatch(r"perplexity [\d.]+ dense, [\d.]+ pruned", perplexity)
    assert best.startswith("best bundled run: ") and " 60%" in best


def test_the_worker_of_the_background_engine_finds_the_modules(printed: list[str]) -> None:
    """Also where Python looks for no modules in the current directory."""
    assert printed[-1] == "['ok']"


def test_a_missing_package_is_named_without_a_traceback(installed: Installed) -> None:
    code = """
import sys
sys.modules["streamlit"] = None
sys.argv = ["prunescope"]
from prunescope.__main__ import main
main()
"""
    done = installed.run("-c", code, directory=installed.empty)
    assert done.returncode == 1
    assert done.stderr == "No module named streamlit. To see what is missing: prunescope doctor\n"


def test_importing_it_imports_nothing_else(installed: Installed) -> None:
    code = """
import sys
before = set(sys.modules)
import prunescope
assert not {"engine", "torch", "pydantic"} & set(sys.modules), sys.modules.keys() - before
assert {"Recipe", "Store", "pin", "run"} <= set(dir(prunescope))
assert not hasattr(prunescope, "engines")
"""
    done = installed.run("-c", code, directory=installed.taken)
    assert done.returncode == 0, done.stderr


def test_another_module_named_engine_is_named_in_the_error(installed: Installed) -> None:
    done = installed.run("-c", "from prunescope import Recipe", directory=installed.taken)
    assert "ImportError: Prunescope needs the module name engine" in done.stderr
    assert str(installed.taken / "engine.py") in done.stderr


def test_modules_have_one_name(installed: Installed) -> None:
    """Classes of a second copy under another name would not be those that pickles contain."""
    done = installed.run("-c", "import prunescope.engine.recipe", directory=installed.empty)
    assert "ImportError: Write `import prunescope`, then `import engine`" in done.stderr


def test_the_checkout_counts_as_the_same_engine(installed: Installed) -> None:
    """As where `pip install .` was typed."""
    code = "import prunescope; prunescope._require_own_engine(); import engine; print(engine.__file__)"
    done = installed.run("-c", code, directory=ROOT)
    assert done.stdout.strip() == str(ROOT / "engine" / "__init__.py"), done.stderr[-2000:]


def test_messages_name_the_installed_commands(installed: Installed) -> None:
    code = "import prunescope, engine; print(engine.COMMAND, engine.APP, sep=', ')"
    assert installed.run("-c", code, directory=installed.empty).stdout.strip() == "prunescope, prunescope"
    assert (COMMAND, APP) == ("python -m engine", "streamlit run app.py")
