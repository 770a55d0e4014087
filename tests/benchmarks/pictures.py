"""Take the README's screenshots: `python -m tests.benchmarks.pictures [NAME ...]`.

They are saved as assets/pictures/NAME.png and show recorded runs; for Runs a few are computed first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from engine.models.identity import ROOT
from engine.recipe import Recipe, pin
from tests.browser import served
from tests.browser.layout import START

TIMEOUT = 120_000  # milliseconds
SIZE = {"width": 1440, "height": 1000}
KEY = pin(Recipe.build(pruner="wanda", sparsity=0.6)).key
PICTURES = {
    "explore": (f"?run={KEY}", "Sparsity per linear"),
    "compare": ("compare", "Perplexity against sparsity"),
    "microscope": (f"microscope?run={KEY}&block=3&linear=mlp.up_proj", "singular values"),
    "generate": ("generate?part=Token+by+token", "Tokens with the largest increase in loss"),
    "learn": ("learn?lesson=by_hand", "Output error"),
    "runs": ("runs", "Runs"),
}
"""The address of each page, and a text that appears when it is complete."""
SWEEP = ["--pruners", "wanda,ria", "--sparsities", "0.55,0.65", "--calibration", "stories"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], help="which pictures (default: all)")
    names = parser.parse_args().names or list(PICTURES)
    folder = ROOT / "assets" / "pictures"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        if "runs" in names:
            compute_runs(Path(home))
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        page = browser.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]
        with served.app(Path(home)) as address:
            page.goto(address)
            expect(page.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
            page.wait_for_timeout(12_000)  # the worker warms up meanwhile
            for name in names:
                take_picture(page, address, name, folder / f"{name}.png")
        browser.close()


def compute_runs(home: Path) -> None:
    """Compute a few runs that are not bundled."""
    command = [sys.executable, "-m", "engine", "sweep", *SWEEP]
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PRUNESCOPE_HOME": str(home)}, check=True, capture_output=True
    )


def take_picture(page: Page, address: str, name: str, path: Path) -> None:
    """Open a page, wait until it is complete, and save a screenshot."""
    route, text = PICTURES[name]
    page.goto(f"{address}/{route}")
    expect(page.get_by_text(text, exact=False).first).to_be_visible(timeout=TIMEOUT)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=TIMEOUT)
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
