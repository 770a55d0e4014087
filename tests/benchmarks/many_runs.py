"""Measure the list of thousands of runs: `python -m tests.benchmarks.many_runs [COUNT ...]`.

The runs are copies of the bundled ones under other seeds, each with eight small blocks, in a temporary home.
Prints the seconds and the megabytes that a new process needs for its first list without the index and with
it, then for a second list, and the seconds of processor time that the script of each page takes.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from engine.events import RunStarted, to_line
from engine.pruning.weights import PrunedLinear
from engine.store.blocks import Blocks
from engine.store.event_log import checksum
from engine.store.runs import Store

BLOCKS = 8
LIST = r"""
import re, sys, time
from pathlib import Path
from engine.store.runs import Store
def peak():  # MB; `getrusage` would count what the process was before it became this one
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
store = Store(sys.argv[1])
before = peak()
for name in ("first", "second"):
    start, spent = time.perf_counter(), time.process_time()
    count = len(store.list())
    start, spent = time.perf_counter() - start, time.process_time() - spent
    print(f"    {name} list of {count} runs: {start:.2f} s, of which the processor {spent:.2f} s")
print(f"    memory: {peak() - before:.0f} MB")
"""
PAGES = """
import sys, time
from streamlit.testing.v1 import AppTest
from engine.jobs.service import BackgroundEngine
from engine.store.runs import Store
from pages.widgets import engine_handle
BackgroundEngine.start = lambda self: None
engine = BackgroundEngine(Store(sys.argv[1]))
engine_handle.shared_engine = lambda: engine
for page, parameters in (
    ("runs", {}), ("compare", {}), ("compare", {"section": "Two runs"}), ("compare", {"section": "Table"}),
    ("microscope", {}), ("generate", {}), ("generate", {"part": "Side by side"}),
):
    app = AppTest.from_file("app.py", default_timeout=1200)
    app.query_params.update(parameters)
    app.switch_page(f"pages/{page}.py")
    seconds = []
    for _ in range(3):
        start = time.process_time()
        app.run()
        seconds.append(time.process_time() - start)
    assert not app.exception, app.exception
    name = " ".join((page, *parameters.values()))
    print(f"    {name}: first {seconds[0]:.2f} s, then {min(seconds[1:]):.2f} s")
"""


def main() -> None:
    for count in [int(argument) for argument in sys.argv[1:]] or [2_000, 20_000]:
        with tempfile.TemporaryDirectory() as home:
            make_runs(Path(home), count)
            print(f"{count} runs")
            for title, script in (
                ("  without the index", LIST),
                ("  with the index", LIST),
                ("  pages", PAGES),
            ):
                print(title, flush=True)
                subprocess.run([sys.executable, "-c", script, home], check=True, stderr=subprocess.DEVNULL)


def make_runs(home: Path, count: int) -> None:
    """Write finished runs into an empty home."""
    store = Store(home)
    known = [(folder.events(), folder.record()) for folder in (store.find(run.key) for run in store.recorded)]
    ends = [b"".join(to_line(event).encode() + b"\n" for event in events[1:]) for events, _ in known]
    blocks = home / "blocks"
    for index in range(BLOCKS):
        Blocks(blocks)[index] = {"up": PrunedLinear(torch.ones(8, 8, dtype=torch.bool))}
    for number in range(count):
        (started, *_), record = known[number % len(known)]
        assert isinstance(started, RunStarted) and record.recipe is not None
        recipe = record.recipe.model_copy(update={"seed": 1_000 + number})
        start = started.model_copy(update={"key": recipe.key, "recipe": recipe.model_dump(mode="json")})
        lines = to_line(start).encode() + b"\n" + ends[number % len(known)]
        folder = store.folder(recipe.key)
        folder.path.mkdir(parents=True)
        folder.recipe_path.write_text(recipe.model_dump_json(indent=1))
        folder.events_path.write_bytes(lines)
        folder.checksums_path.write_bytes(checksum(lines))
        own = record.model_copy(update={"key": recipe.key, "recipe": recipe})
        folder.record_path.write_text(own.model_dump_json(indent=1))
        shutil.copytree(blocks, folder.path / "blocks", copy_function=shutil.copyfile)
    shutil.rmtree(blocks)


if __name__ == "__main__":
    main()
