"""Try every family of transformers' causal registry: `python -m tests.benchmarks.families [FAMILY ...]`.

Each family is built tiny with random weights, saved, and pruned with Wanda to 50 % by the command line, once
held in memory and once read block by block. Its perplexities must equal those of a plain forward pass through
the source and through the export. A family works, or it is rejected before anything is pruned; everything
else is a failure, and the exit status is 1. `--markdown` prints the table of assets/measurements.md.

Every family has its own process with a time limit, so that none can stop the others. All of them together
take about ten minutes on one core.
"""

import argparse
import contextlib
import io
import math
import multiprocessing
import os
import re
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from engine.cli.main import main as prunescope
from engine.store.folder import RunFolder
from tests.benchmarks.tiny_configs import VOCABULARY, tiny_config

LIMIT = 120.0  # seconds per family
WINDOWS, TOKENS = 6, 40
CLOSE = 1e-4
"""Relative difference of two perplexities that count as equal: batches of another size round differently."""
UNEXPLAINED = ("unexpected", "takes at most -", "Traceback", "not enough values")
"""What a sentence for a user must not contain."""


@dataclass(frozen=True)
class Outcome:
    """What became of a family.

    Attributes:
        verdict: `works`, `rejected` (before pruning), `not built` (transformers itself fails) or `FAILS`.
        reason: why it does not work; if it works, a restriction.
        streamed: whether reading it block by block gives the same masks and perplexities to the last bit;
            None if it cannot be read so.
        plain: whether the dense perplexity is that of a plain forward pass.
        export: whether a plain forward pass through the export gives the pruned perplexity.
    """

    family: str
    verdict: str
    reason: str = ""
    streamed: bool | None = None
    plain: bool | None = None
    export: bool | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description="Try every family of transformers' causal registry.")
    parser.add_argument("families", nargs="*", help="model types (default: all)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory() as directory:
        tried("llama", Path(directory))  # what this imports takes seconds, and the children inherit it
    context = multiprocessing.get_context("fork")
    if arguments.markdown:
        print("| family | works | streamed | plain | export |\n|---|---|---|---|---|")
    acceptable = True
    for family in arguments.families or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        outcome = in_process(context, family)
        acceptable &= outcome.verdict != "FAILS"
        print(row(outcome) if arguments.markdown else line(outcome), flush=True)
    return 0 if acceptable else 1


def in_process(context: multiprocessing.context.ForkContext, family: str) -> Outcome:
    """Return the outcome of a family that is tried in its own process."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(family, sender))
    process.start()
    sender.close()  # the child's end remains, so its death is noticed
    try:
        if receiver.poll(LIMIT):
            return receiver.recv()
        return Outcome(family, "FAILS", f"not done after {LIMIT:.0f} s")
    except EOFError:
        return Outcome(family, "FAILS", "the process died")
    finally:
        process.kill()
        process.join()


def prepare() -> None:
    """Use one thread and no network, and say nothing but the results."""
    torch.set_num_threads(1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    hf.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()


def send(family: str, sender: Connection) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sender.send(tried(family, Path(directory)))


def tried(family: str, directory: Path) -> Outcome:
    """Build, prune, stream and export a family in an empty directory."""
    os.environ["PRUNESCOPE_HOME"] = str(directory / "home")
    texts = [directory / "calibration.npy", directory / "evaluation.npy"]
    for seed, path in enumerate(texts):
        np.save(path, np.random.default_rng(seed).integers(4, VOCABULARY - 8, (WINDOWS, TOKENS)))
    try:
        save(family, directory / "model")
    except Exception as error:  # whatever transformers raises
        return Outcome(family, "not built", first_line(error))
    refusals = [prune(directory, "resident", "--save-model"), prune(directory, "streamed")]
    if refusals[0]:
        explained = all(refusals) and not any(words in " ".join(refusals) for words in UNEXPLAINED)
        early = not any(pruned_blocks(directory / residence) for residence in ("resident", "streamed"))
        return Outcome(family, "rejected" if explained and early else "FAILS", refusals[0])
    dense = perplexity(directory / "model", texts[1])
    record = RunFolder(directory / "resident").record()
    assert record.dense is not None and record.pruned is not None
    same = None if refusals[1] else contents(directory / "resident") == contents(directory / "streamed")
    return Outcome(
        family,
        "works",
        f"only in memory: {refusals[1]}" if refusals[1] else "",
        same,
        math.isclose(record.dense.perplexity, dense, rel_tol=CLOSE),
        exported(directory / "resident" / "model", texts[1], record.pruned.perplexity),
    )


def save(family: str, directory: Path) -> None:
    """Save a tiny random model of the family."""
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[family])
    try:
        model = hf.AutoModelForCausalLM.from_config(config)
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        # the class takes another configuration than that of its model type
        model = getattr(hf, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family])(config.get_text_config())
    for name, parameter in model.named_parameters():
        # the default is so small that a wrong mask would hardly show
        if parameter.ndim > 1 and not name.endswith("A_log"):
            nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(directory)


def prune(directory: Path, residence: str, *options: str) -> str:
    """Prune `directory`/model into the folder of that name and return why it failed, empty if it did not."""
    names = {"--model": "model", "--calibration": "calibration.npy", "--evaluation": "evaluation.npy"}
    files = [word for option, name in names.items() for word in (option, str(directory / name))]
    words = io.StringIO()
    with contextlib.redirect_stderr(words), contextlib.redirect_stdout(words):
        command = f"prune --residence {residence} --dtype float32 --device cpu --save-masks".split()
        status = prunescope([*command, *files, "--out", str(directory / residence), *options])
    lines = [part for part in words.getvalue().replace("\r", "\n").splitlines() if "block/s" not in part]
    reason = " ".join(" ".join(lines).replace(str(directory / "model"), "it").split())
    # The first sentence, without the run's name, which precedes it on stdout, and the model's.
    reason = re.sub(
        r"^The model it \([\w ]+\) (cannot be pruned block by block: |is )?",
        "",
        reason.split("] failed ")[-1],
    )
    reason = reason.split(". ")[0].removesuffix(".")
    return reason if status else ""


def pruned_blocks(run: Path) -> int:
    """Return how many blocks a run has pruned."""
    return len(RunFolder(run).record().blocks) if RunFolder(run).exists else 0


def contents(run: Path) -> tuple[bytes, object, object]:
    """Return the masks and perplexities of a run."""
    record = RunFolder(run).record()
    return (run / "masks.safetensors").read_bytes(), record.dense, record.pruned


def exported(directory: Path, text: Path, pruned: float) -> bool:
    try:
        return math.isclose(perplexity(directory, text), pruned, rel_tol=CLOSE)
    except Exception:  # the export cannot be loaded
        traceback.print_exc()
        return False


@torch.no_grad()
def perplexity(directory: Path, text: Path) -> float:
    """Return the perplexity by a plain forward pass through a saved model."""
    model = hf.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.load(text))
    logits = model(input_ids=ids, use_cache=False).logits.float()
    return math.exp(cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).item())


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def line(outcome: Outcome) -> str:
    """Return the outcome as one line."""
    found = (
        f"streamed {answer(outcome.streamed)}, plain {answer(outcome.plain)}, export {answer(outcome.export)}"
    )
    words = [f"{outcome.family:<26}{outcome.verdict:<10}", found if outcome.verdict == "works" else ""]
    return " ".join(filter(None, [*words, outcome.reason]))


def row(outcome: Outcome) -> str:
    """Return the outcome as a row of a Markdown table."""
    says = "yes" if outcome.verdict == "works" else outcome.verdict
    answers = map(answer, (outcome.streamed, outcome.plain, outcome.export))
    return f"| {outcome.family} | {': '.join(filter(None, [says, outcome.reason]))} | {' | '.join(answers)} |"


def answer(equal: bool | None) -> str:
    return "" if equal is None else "equal" if equal else "DIFFERS"


if __name__ == "__main__":
    sys.exit(main())
