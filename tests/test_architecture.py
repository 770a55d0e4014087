"""The structure of the code: imports go one way, libraries stay in place, and nothing unsafe is used.

Every `import` counts, also inside functions and for type checkers alone.
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
    "engine.recipe.validation",
    "engine.recipe",
    "engine.recipe.real_model",
    "engine.record.parts",
    "engine.record.fold",
    "engine.record",
    "engine.record.outline",
    "engine.replay",
    "engine.run_cache",
    "engine.inputs",
    "engine.cost",
    "engine.run",
    "engine.laws",
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
    "engine.installed",
)
"""Lowest first: a module imports only from its own package and from packages above it in this list."""

ONLY_IN = {
    "streamlit": ("app", "pages"),
    "plotly": ("engine.charts",),
    "dask": ("engine.jobs",),
    "distributed": ("engine.jobs",),
}
"""Libraries and the packages that may import them."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@cache
def layer(module: str) -> int | None:
    """The position in `LAYERS` of the longest package name that `module` begins with."""
    packages = [(len(package), number) for number, package in enumerate(LAYERS) if is_in(module, package)]
    return max(packages)[1] if packages else None


@cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    """All nodes of a module's syntax tree; those of all modules take seconds to parse and collect."""
    return tuple(ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


@cache
def imported(module: str) -> set[tuple[int, str]]:
    """The line and full name of each import; `from engine.pruning import plan` is `engine.pruning.plan`."""
    found: set[tuple[int, str]] = set()
    for node in nodes(module):
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


def test_the_root_of_the_engine_stays_small() -> None:
    """What a newcomer reads first: the vocabulary and the generator. All else is in a package."""
    assert len(list((ROOT / "engine").glob("*.py"))) <= 14


def test_imports_go_downwards() -> None:
    upwards = [
        f"{module}:{line} imports {name}"
        for module in MODULES
        for line, name in sorted(imported(module))
        if (own := layer(module)) is not None and (other := layer(name)) is not None and other > own
    ]
    assert not upwards


def test_imports_form_no_circle() -> None:
    """Also within a package. Imports for type checkers alone do not run, so they close no circle."""
    order = TopologicalSorter(
        {module: {name for _, name in executed(module) if name in MODULES} for module in MODULES}
    )
    order.prepare()  # raises CycleError, which names the circle


def executed(module: str) -> set[tuple[int, str]]:
    """`imported` without the imports under `if TYPE_CHECKING`."""
    checked = {
        line
        for node in nodes(module)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return {(line, name) for line, name in imported(module) if line not in checked}


def test_libraries_are_imported_only_where_they_belong() -> None:
    assert [
        f"{module}:{line} imports {name}"
        for module in MODULES
        for line, name in sorted(imported(module))
        for library, packages in ONLY_IN.items()
        if is_in(name, library) and not any(is_in(module, package) for package in packages)
    ] == []


def test_the_engine_knows_no_page() -> None:
    above = ("pages", "app", "tests")
    assert [
        f"{module}:{line} imports {name}"
        for module in MODULES
        if is_in(module, "engine")
        for line, name in sorted(imported(module))
        if any(is_in(name, package) for package in above)
    ] == []


def test_nothing_unsafe() -> None:
    """No markup from texts, no code from a model's repository, no pickles."""
    for module in MODULES:
        assert_safe(module)


def assert_safe(module: str) -> None:
    assert not [
        name
        for _, name in imported(module)
        if name.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    ]
    for call in (node for node in nodes(module) if isinstance(node, ast.Call)):
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


def test_unsafe_options_appear_nowhere() -> None:
    """Not in a dictionary of options or after a `**` either."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for option in (
            "unsafe_allow_html",
            "trust_remote_code=True",
            '"trust_remote_code": True',
            "pickle.load",
        ):
            assert option not in text, f"{path.relative_to(ROOT)}: {option}"


def test_the_jobs_package_itself_imports_nothing() -> None:
    """So that the run store works without Dask."""
    assert not imported("engine.jobs")


MISSING = ["streamlit", "plotly", "dask", "distributed", "pandas", "lm_eval", "datasets"]
DESCRIBING = [
    "engine.recipe",
    "engine.record",
    "engine.export.command_line",
    "engine.store.runs",
    "engine.cli.main",
]
HEADLESS = [
    "engine.run",
    "engine.record.outline",
    "engine.recipe",
    "engine.recipe.real_model",
    "engine.cost.estimate",
    "engine.export.command_line",
    "engine.analysis.text",
    "engine.models.summary",
    "engine.store.runs",
    "engine.cli.main",
    "engine.store.folder",
    "engine.jobs.execute",
    "engine.cli.main",
    "engine.cli.doctor",
    "engine.evaluation.tasks.evaluate",
]


def executed_alone(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a fresh process, which takes seconds where they import much: tests share it."""
    command = [sys.executable, "-c", "\n".join(["import sys", *lines])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def headless() -> subprocess.CompletedProcess[str]:
    """A process on a machine with neither interface nor task libraries: it imports what describes a run, says
    which libraries came with it, imports everything else, and calls for a report.
    """
    return executed_alone(
        f"sys.modules.update(dict.fromkeys({MISSING}))",
        f"import {', '.join(DESCRIBING)}",
        "print('transformers' in sys.modules)",
        f"import {', '.join(HEADLESS)}",
        "print('transformers.core_model_loading' in sys.modules)",
        "del sys.modules['pandas']  # so that a report first misses plotly",
        "sys.exit(engine.cli.main.main(['report', 'abc']))",
    )


def test_the_engine_and_its_command_line_need_no_interface_library_and_no_task_library(
    headless: subprocess.CompletedProcess[str],
) -> None:
    """A GPU machine may have neither Streamlit nor Plotly nor Dask; only the charts use pandas, and only the
    zero-shot tasks lm-eval.
    """
    assert "Traceback" not in headless.stderr, headless.stderr[-2000:]


def test_a_report_without_plotly_names_it(headless: subprocess.CompletedProcess[str]) -> None:
    assert headless.returncode == 1
    assert headless.stderr.startswith("A report needs plotly"), headless.stderr[-2000:]


def test_describing_a_run_needs_no_model_library(headless: subprocess.CompletedProcess[str]) -> None:
    """A page and the command line show recipes and records immediately; only what computes a run needs it."""
    assert headless.stdout.splitlines()[0] == "False", headless.stderr[-2000:]


def test_a_command_that_loads_no_model_does_not_wait_for_the_code_that_does(
    headless: subprocess.CompletedProcess[str],
) -> None:
    """The part of transformers that fills a model with weights takes a second to import."""
    assert headless.stdout.splitlines()[1] == "False", headless.stderr[-2000:]


@pytest.fixture(scope="module")
def visited() -> subprocess.CompletedProcess[str]:
    """A process in which the app draws pages, and says after each whether torch was imported."""
    learn = (ROOT / "pages/learn.py").read_text(encoding="utf-8")
    return executed_alone(
        *(line for line in learn.splitlines() if line.startswith(("import ", "from "))),
        "import app, pages.widgets.frame",
        "print('torch' in sys.modules)",
        "from pages.widgets.deferred_import import defer",
        "defer('torch')",
        "from streamlit.testing.v1 import AppTest",
        "from engine.jobs.service import BackgroundEngine",
        "from pages.widgets.explore import run_view",
        "BackgroundEngine.start, run_view.HEAD_STARTS = lambda self: None, (0, 0)",
        f"drawn = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout=120).run()",
        "assert not drawn.exception and drawn.metric and drawn.get('plotly_chart')",
        "print('torch._C' in sys.modules)",
    )


def test_the_list_of_lessons_does_not_wait_for_torch(visited: subprocess.CompletedProcess[str]) -> None:
    """A talk begins on Learn: neither what surrounds a page nor that page may import torch before the list is
    drawn.
    """
    assert visited.stdout.splitlines()[0] == "False", visited.stderr[-2000:]


def test_the_first_page_does_not_wait_for_torch(visited: subprocess.CompletedProcess[str]) -> None:
    """Not even a complete Explore with a stored run: the app imports torch on its first use."""
    assert visited.returncode == 0, visited.stderr[-2000:]
    assert visited.stdout.splitlines()[1] == "False"


THIN = 65
"""The most lines in a page file: it puts widgets together, and computes nothing."""
NUMBERS = {"math", "numpy", "torch", "statistics", "scipy"}


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_a_page_file_is_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= THIN


def test_no_page_holds_mathematics() -> None:
    assert [
        f"{module}:{line} imports {name}"
        for module in MODULES
        if is_in(module, "pages")
        for line, name in sorted(imported(module))
        if name.partition(".")[0] in NUMBERS
    ] == []


def test_every_chart_says_what_it_shows() -> None:
    """But those of the lessons, which the text around them explains, and those of two runs, which get their
    explanation in one place.
    """
    unexplained = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if is_in(module, "engine.charts")
        and not any(is_in(module, f"engine.charts.{part}") for part in ("lessons", "overlay"))
        for node in nodes(module)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Chart"
        and "explain" not in [keyword.arg for keyword in node.keywords]
    ]
    assert unexplained == []
