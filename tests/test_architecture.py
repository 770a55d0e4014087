"""The house stands on its floors: imports go downwards, libraries stay in their rooms, and nothing unsafe is
used.

Every `import` counts wherever it stands, also inside functions and for type checkers alone.
"""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "engine").rglob("*.py")])

LAYERS: tuple[str, ...] = (
    "engine.errors",
    "engine.version",
    "engine.numbers",
    "engine.events",
    "engine.registry",
    "engine.progress",
    "engine.hardware",
    "engine.hub",
    "engine.corpora",
    "engine.models",
    "engine.pruning",
    "engine.evaluation",
    "engine.validation",
    "engine.recipe",
    "engine.record",
    "engine.replay",
    "engine.run_cache",
    "engine.inputs",
    "engine.cost",
    "engine.run",
    "engine.analysis",
    "engine.export",
    "engine.lessons",
    "engine.store",
    "engine.jobs",
    "engine.charts",
    "engine.cli",
    "engine.__main__",
    "pages.widgets",
    "pages",
    "app",
)
"""Lowest first: a module imports only from its own package and from packages above it in this list."""

ONLY_IN = {
    "streamlit": ("app", "pages"),
    "plotly": ("engine.charts",),
    "dask": ("engine.jobs",),
    "distributed": ("engine.jobs",),
}
"""Libraries and the rooms that may know them."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def layer(module: str) -> int | None:
    """The position in `LAYERS` of the longest package name that `module` begins with."""
    packages = [(len(package), number) for number, package in enumerate(LAYERS) if is_in(module, package)]
    return max(packages)[1] if packages else None


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(module: str) -> set[tuple[int, str]]:
    """Line and full name of all that a module imports; `from engine.pruning import plan` is
    `engine.pruning.plan`.
    """
    found: set[tuple[int, str]] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {(node.lineno, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            base = node.module or ""
            found |= {
                (node.lineno, f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base)
                for alias in node.names
            }
    return found


def test_every_module_has_a_layer() -> None:
    """`engine` itself is the empty package; any other module belongs somewhere in `LAYERS`."""
    assert [module for module in MODULES if module != "engine" and layer(module) is None] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards(module: str) -> None:
    own = layer(module)
    if own is None:
        return
    upwards = [
        f"{module}:{line} imports {name}"
        for line, name in sorted(imported(module))
        if (other := layer(name)) is not None and other > own
    ]
    assert not upwards


def test_no_module_imports_itself_by_a_detour() -> None:
    """Also within a package. Imports for type checkers alone do not run, so they close no circle."""
    order = TopologicalSorter(
        {module: {name for _, name in executed(module) if name in MODULES} for module in MODULES}
    )
    order.prepare()  # raises CycleError, which names the circle


def executed(module: str) -> set[tuple[int, str]]:
    """As `imported`, without what stands under `if TYPE_CHECKING`."""
    checked = {
        line
        for node in ast.walk(tree(module))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return {(line, name) for line, name in imported(module) if line not in checked}


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_in_their_rooms(module: str) -> None:
    strangers = [
        f"{module}:{line} imports {name}"
        for line, name in sorted(imported(module))
        for library, rooms in ONLY_IN.items()
        if is_in(name, library) and not any(is_in(module, room) for room in rooms)
    ]
    assert not strangers


@pytest.mark.parametrize("module", [name for name in MODULES if is_in(name, "engine")])
def test_the_engine_knows_no_page(module: str) -> None:
    assert not [
        name
        for _, name in imported(module)
        if is_in(name, "pages") or is_in(name, "app") or is_in(name, "tests")
    ]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_unsafe(module: str) -> None:
    """No markup from texts, no code from a model's repository, no pickles."""
    assert not [
        name
        for _, name in imported(module)
        if name.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    ]
    for call in (node for node in ast.walk(tree(module)) if isinstance(node, ast.Call)):
        where, function = f"{module}:{call.lineno}", ast.unparse(call.func)
        values = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert "unsafe_allow_html" not in values and "unsafe_allow_javascript" not in values, where
        assert values.get("trust_remote_code", "False") == "False", where
        assert values.get("allow_pickle", "False") == "False", where
        assert values.get("weights_only", "True") == "True" and (
            function != "torch.load" or "weights_only" in values
        ), where
        assert values.get("shell", "False") == "False", where
        assert (
            function not in {"eval", "exec", "os.system", "np.load", "numpy.load"}
            or values.get("allow_pickle") == "False"
        ), where


def test_the_words_themselves_are_nowhere() -> None:
    """Also not in a dictionary of options or behind a `**`."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for words in (
            "unsafe_allow_html",
            "trust_remote_code=True",
            '"trust_remote_code": True',
            "pickle.load",
        ):
            assert words not in text, f"{path.relative_to(ROOT)}: {words}"


def test_the_jobs_package_itself_imports_nothing() -> None:
    """So that the run store works where there is no Dask."""
    assert not imported("engine.jobs")


HEADLESS = [
    "engine.run",
    "engine.record",
    "engine.recipe",
    "engine.cost.estimate",
    "engine.export.command_line",
    "engine.analysis.text",
    "engine.models.summary",
    "engine.store.runs",
    "engine.store.folder",
    "engine.jobs.execute",
    "engine.cli.main",
]


def test_the_engine_and_its_command_line_run_without_the_libraries_of_the_upper_floors() -> None:
    """On a GPU machine that has neither Streamlit nor Plotly nor Dask; pandas is of the charts alone."""
    missing = ["streamlit", "plotly", "dask", "distributed", "pandas"]
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import {', '.join(HEADLESS)}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_describing_a_run_needs_no_model_library() -> None:
    """A page draws recipes, records and charts at once; what takes seconds to import is for the worker."""
    rooms = "engine.recipe, engine.record, engine.export.command_line, engine.store.runs"
    code = f"import sys; import {rooms}; print('transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "False"


def test_the_list_of_lessons_is_there_before_torch_is() -> None:
    """What the app itself imports before a page, and the page that needs no computations: a talk begins
    there.
    """
    before = (ROOT / "app.py").read_text(encoding="utf-8").partition("page.run()")[0] + (
        ROOT / "pages/learn.py"
    ).read_text(encoding="utf-8")
    needed = [line for line in before.splitlines() if line.startswith(("import ", "from "))]
    assert "from pages.widgets.present import presenter" in needed
    code = "\n".join([*needed, "import sys; print('torch' in sys.modules)"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "False"


THIN = 65
"""Lines that a page file has at most: widgets in, views out."""
NUMBERS = {"math", "numpy", "torch", "statistics", "scipy"}


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_a_page_file_is_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= THIN


@pytest.mark.parametrize("name", [name for name in MODULES if is_in(name, "pages")])
def test_no_page_holds_mathematics(name: str) -> None:
    assert not {module.partition(".")[0] for _, module in imported(name)} & NUMBERS
