"""An app without pages that the tests kill: `python -m tests.jobs.app HOME PACE RECIPE...`, recipes as
JSON.

Runs the first recipe to its end and the second until two blocks are done, prints it, and waits to be killed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from engine.jobs.service import BackgroundEngine
from engine.recipe import Recipe
from engine.store.runs import Store
from tests.jobs.conftest import ended, until, wait_for_blocks
from tests.jobs.pace import Pace


def main(home: str, pace_file: str, *recipes: str) -> None:
    engine = BackgroundEngine(Store(home))
    engine.start()
    print("started", flush=True)
    until(lambda: engine.status.state == "ready")
    pace = Pace(Path(pace_file))
    pace.govern(engine)
    first, second = (Recipe.model_validate(json.loads(recipe)) for recipe in recipes)
    ended(engine, engine.submit(first))
    pace.set(0.5)
    engine.submit(second)
    wait_for_blocks(engine, second.key, 2)
    print("running", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
