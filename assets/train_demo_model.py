"""Train the bundled demo model, a small Llama, on files of stories, or measure a model on such a file.

    python train_demo_model.py --stories corpus.jsonl --work training --minutes 80
    python train_demo_model.py --measure demo-model --evaluate stories/evaluation.txt

Hidden matrices are trained with Muon, all other weights with AdamW. The learning rate warms up, stays
constant and decays to zero over the steps or minutes of the budget, so a run limited by minutes ends in time
even on a busy machine. An interrupted run resumes from `checkpoint.pt` in the work directory with the same
batches; if its budget is in steps, the result is identical bit for bit.

Not supported: several devices, other architectures, stories too long for one forward pass in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

END = "<|endoftext|>"
VOCABULARY = 2048
WARM_UP, DECAY = 0.02, 0.7  # fractions of the budget in which the learning rate rises and falls
SHORTEST_STORY = 20  # characters
PERPLEXITY_WINDOW = 256  # tokens


class BadInput(Exception):
    """The user's input cannot be used; the message is a single sentence for the user."""


# ---- stories


def story_of_line(line: str, place: str) -> str:
    """Return the story of one .jsonl line: a JSON string, or the `text` of an object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{place} is not JSON: {error}.") from error
    story = value.get("text") if isinstance(value, dict) else value
    if not isinstance(story, str):
        raise BadInput(f"{place} contains neither a string nor an object with a `text`.")
    if any("\ud800" <= letter <= "\udfff" for letter in story):
        raise BadInput(f"{place} contains an unpaired surrogate.")
    return story


def read_stories(path: Path) -> list[str]:
    """Return the distinct stories of a .jsonl file, or of text separated by END lines or else blank lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text.") from error
    if path.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), 1)
        parts = [story_of_line(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    else:
        parts = text.split(END if END in text else "\n\n")
    stories = list(dict.fromkeys(part.strip() for part in parts if len(part.strip()) >= SHORTEST_STORY))
    if not stories:
        raise BadInput(f"{path} contains no story of at least {SHORTEST_STORY} characters.")
    return stories


def token_ids(tokenizer: Any, stories: list[str]) -> list[Tensor]:
    """Return each story as END and its tokens, int64 [tokens]."""
    return [torch.tensor(ids) for ids in tokenizer([END + story for story in stories])["input_ids"]]


# ---- batches


def token_parts(tokenizer: Any) -> Tensor:
    """Return the two tokens that each token was merged from, int64 [vocabulary, 2], or (id, -1)."""
    vocabulary = tokenizer.get_vocab()
    parts = torch.stack([torch.arange(len(tokenizer)), torch.full((len(tokenizer),), -1)], 1)
    for left, right in json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("merges", []):
        parts[vocabulary[left + right]] = torch.tensor([vocabulary[left], vocabulary[right]])
    return parts


def split_tokens(ids: Tensor, parts: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Split a fraction `rate` of the tokens into the two they were merged from, twice in succession."""
    for _ in range(2):
        hit = torch.rand(len(ids), generator=generator) < rate
        whole = torch.stack([ids, torch.full_like(ids, -1)], 1)  # [tokens, 2]
        ids = torch.where(hit[:, None], parts[ids], whole).flatten()
        ids = ids[ids >= 0]
    return ids


@dataclass
class Batches:
    """Endless batches [batch, length + 1]; each epoch joins the stories in a new order and cuts windows.

    In every other window some tokens are split, as in BPE dropout (Provilkov et al. 2020), so that words that
    are rare in the corpus also occur in pieces. Everything depends only on the seed, the epoch and the row,
    so a position is two numbers.
    """

    stories: list[Tensor]
    parts: Tensor
    batch: int
    length: int
    seed: int
    epoch: int = 0
    row: int = 0
    _windows: Tensor | None = None

    def next(self, split: float) -> Tensor:
        """Return the next batch, with a fraction `split` of the tokens split in every other window."""
        if self._windows is None:
            self._windows = self._cut()
        if self.row + self.batch > len(self._windows):
            self.epoch, self.row = self.epoch + 1, 0
            self._windows = self._cut()
        self.row += self.batch
        generator = torch.Generator().manual_seed((self.seed * 1009 + self.epoch) * 1_000_003 + self.row)
        rows = self._windows[self.row - self.batch : self.row].clone()
        for row in rows[::2] if split else ():
            row[:] = split_tokens(row, self.parts, split, generator)[: self.length + 1]
        return rows

    def _cut(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1009 + self.epoch)
        order = torch.randperm(len(self.stories), generator=generator).tolist()
        windows = torch.cat([self.stories[i] for i in order]).unfold(0, self.length + 1, self.length)
        if len(windows) < self.batch:
            raise BadInput(
                f"The stories yield {len(windows)} windows of {self.length} tokens, too few for one batch."
            )
        return windows[torch.randperm(len(windows), generator=generator)]


# ---- model


def new_tokenizer(stories: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on the stories; END starts a story."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bare.train_from_iterator(stories, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bare, bos_token=END, eos_token=END, model_max_length=512)


def new_model(vocabulary: int) -> LlamaForCausalLM:
    """Return the demo model with random weights: 1.8 million parameters with 2,048 tokens."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        rms_norm_eps=1e-5,
    )
    return LlamaForCausalLM(config)


def load(directory: Path) -> tuple[Any, Any]:
    """Return the model (float32) and tokenizer of a local directory."""
    if not (directory / "config.json").is_file():
        raise BadInput(f"{directory} is not a model directory: there is no config.json in it.")
    try:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
        return model, AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # the loaders raise many types of exceptions for damaged files
        raise BadInput(f"{directory} cannot be loaded: {str(error).splitlines()[0]}") from error


def add_dropout(model: nn.Module, rate: float) -> None:
    """Apply dropout to the attention and MLP outputs while the model is in training mode."""

    def drop(module: nn.Module, _: object, output: Tensor) -> Tensor:
        return functional.dropout(output, rate, module.training)

    for name, module in model.named_modules():
        if rate and name.endswith(("o_proj", "down_proj")):
            module.register_forward_hook(drop)


def loss_function(model: Any, device: str, compiled: bool) -> Callable[[Tensor], Tensor]:
    """Return a function from windows [batch, length + 1] to the mean cross-entropy, in bfloat16."""

    def loss(windows: Tensor) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(input_ids=windows[:, :-1], use_cache=False).logits  # [batch, length, vocabulary]
        return functional.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())

    return torch.compile(loss) if compiled else loss


# ---- # measuring


@torch.no_grad()
def bits_per_byte(model: Any, tokenizer: Any, stories: list[str]) -> float:
    """Return bits per UTF-8 byte over stories scored separately, every token after END counted."""
    model.eval()
    nats = 0.0
    for ids in token_ids(tokenizer, stories):
        row = ids.to(model.device)
        logits = model(input_ids=row[None, :-1]).logits[0].float()  # [tokens - 1, vocabulary]
        nats += functional.cross_entropy(logits, row[1:], reduction="sum").item()
    return nats / math.log(2) / sum(len(story.encode()) for story in stories)


@torch.no_grad()
def window_perplexity(model: Any, tokenizer: Any, stories: list[str]) -> float:
    """Return the perplexity of the joined stories in non-overlapping windows; the remainder is dropped."""
    model.eval()
    joined = torch.cat(token_ids(tokenizer, stories))
    windows = joined[: len(joined) // PERPLEXITY_WINDOW * PERPLEXITY_WINDOW].view(-1, PERPLEXITY_WINDOW)
    if not len(windows):
        raise BadInput(
            f"The stories have {len(joined)} tokens, fewer than one window of {PERPLEXITY_WINDOW}."
        )
    rows = [row[None].to(model.device) for row in windows]
    return math.exp(sum(model(input_ids=row, labels=row).loss.item() for row in rows) / len(rows))


def measure(directory: Path, story_file: Path) -> None:
    """Print a model's bits per byte and perplexity on a file of stories."""
    stories = read_stories(story_file)
    model, tokenizer = load(directory)
    bits, perplexity = bits_per_byte(model, tokenizer, stories), window_perplexity(model, tokenizer, stories)
    print(f"{directory} on {story_file}: {bits:.4f} bits per byte over {len(stories)} stories,", end=" ")
    print(f"perplexity {perplexity:.2f} over windows of {PERPLEXITY_WINDOW} tokens")


# ---- # training


def make_optimisers(model: nn.Module, rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices, with AdamW-sized updates, and AdamW for embedding and norms."""
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    hidden = [weight for name, weight in named if weight.dim() == 2 and "embed" not in name]
    rest = [weight for name, weight in named if weight.dim() != 2 or "embed" in name]
    muon = torch.optim.Muon(hidden, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)]


@dataclass
class Training:
    """The training state: the model, its optimisers, and the position in the data and the budget."""

    options: argparse.Namespace
    model: Any
    tokenizer: Any
    batches: Batches
    held_out: list[str]
    optimisers: list[torch.optim.Optimizer]
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    @property
    def checkpoint(self) -> Path:
        return checkpoint_of(self.options)

    @property
    def done(self) -> float:
        """The used fraction of the budget."""
        steps, minutes = self.options.steps, self.options.minutes
        return float(min(1.0, self.step / steps if steps else self.seconds / (60 * minutes)))

    def set_rate(self) -> None:
        rate = self.options.rate * min(1.0, (self.done + 1e-3) / WARM_UP, (1 - self.done) / DECAY)
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            group["lr"] = rate

    def update(self) -> None:
        """Step the optimisers, and update the moving average of the weights."""
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        share = max(1 - self.options.average, 1 / (self.step + 1))
        torch._foreach_lerp_(list(self.average.values()), list(named_weights(self.model).values()), share)

    def settings(self) -> dict[str, object]:
        """Return the options that must be equal to resume from a checkpoint."""
        digest = hashlib.sha256(torch.cat(self.batches.stories).numpy().tobytes()).hexdigest()[:12]
        names = (
            "steps",
            "minutes",
            "batch",
            "length",
            "rate",
            "weight_decay",
            "dropout",
            "split",
            "average",
            "seed",
        )
        return {"stories": digest, **{name: getattr(self.options, name) for name in names}}

    def save(self) -> None:
        """Write the checkpoint under a temporary name and rename it, so that it is never incomplete."""
        state = {
            "settings": self.settings(),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "place": [self.batches.epoch, self.batches.row, self.step, self.seconds],
            "random": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
        }
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)

    def restore(self) -> None:
        """Resume from the checkpoint; reject one from a run with other settings."""
        state = read_checkpoint(self.checkpoint)
        for name, value in self.settings().items():
            if state["settings"].get(name) != value:
                saved = state["settings"].get(name)
                raise BadInput(f"{self.checkpoint} is from a run with {name} {saved}, not {value}.")
        self.model.load_state_dict(state["model"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for optimiser, value in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(value)
        self.batches.epoch, self.batches.row, self.step, self.seconds = state["place"]
        torch.set_rng_state(state["random"][0])
        torch.cuda.set_rng_state_all(state["random"][1:])


def checkpoint_of(options: argparse.Namespace) -> Path:
    return Path(options.work) / "checkpoint.pt"


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's weights by name, detached; tied weights appear once."""
    return {name: weight.detach() for name, weight in model.named_parameters()}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint; raise BadInput if the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # torch raises many types of exceptions for a damaged file
        raise BadInput(f"{path} is damaged: delete it to start over.") from error


def start_or_resume(options: argparse.Namespace) -> Training:
    """Return a new training, or one restored from its checkpoint."""
    stories = [story for path in options.stories for story in read_stories(path)]
    if len(stories) <= options.held_out:
        raise BadInput(f"{len(stories)} stories are too few to hold out {options.held_out} of them.")
    training_stories, held_out = stories[: -options.held_out], stories[-options.held_out :]
    torch.manual_seed(options.seed)
    model, tokenizer = load_or_make(options, training_stories)
    ids, parts = token_ids(tokenizer, training_stories), token_parts(tokenizer)
    batches = Batches(ids, parts, options.batch, options.length, options.seed)
    add_dropout(model, options.dropout)
    optimisers = make_optimisers(model, options.rate, options.weight_decay)
    average = {name: weight.clone() for name, weight in named_weights(model).items()}
    training = Training(options, model, tokenizer, batches, held_out, optimisers, average)
    if training.checkpoint.exists():
        training.restore()
    return training


def load_or_make(options: argparse.Namespace, stories: list[str]) -> tuple[Any, Any]:
    """Load model and tokenizer from the work directory or `--init`, or create them; save them there."""
    directory = options.work / "model"
    source = directory if checkpoint_of(options).exists() else options.init
    if source:
        model, tokenizer = load(source)
    else:
        tokenizer = new_tokenizer(stories)
        model = new_model(len(tokenizer))
    if END not in tokenizer.get_vocab():
        raise BadInput(f"The tokenizer in {source} has no token {END}.")
    if options.length > model.config.max_position_embeddings:
        raise BadInput(
            f"The model has {model.config.max_position_embeddings} positions, too few for --length."
        )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return model.to(options.device), tokenizer


def report(training: Training) -> str:
    """Return one log line: the position and the result on the held-out stories."""
    rate = training.optimisers[0].param_groups[0]["lr"]
    mean, training.losses = sum(training.losses) / max(1, len(training.losses)), []
    bits = bits_per_byte(training.model, training.tokenizer, training.held_out)
    place = f"{training.seconds:6.0f} s  step {training.step}  epoch {training.batches.epoch}"
    return f"{place}  rate {rate:.1e}  loss {mean:.3f}  held-out {bits:.4f} bits per byte"


def steps(training: Training) -> Iterator[float]:
    """Train until the budget is used up; yield the used fraction after each step."""
    options = training.options
    loss_of = loss_function(training.model, options.device, options.compile)
    clock = time.monotonic() - training.seconds
    while training.done < 1:
        training.model.train()
        training.set_rate()
        windows = training.batches.next(options.split * (1 - training.done))
        loss = loss_of(windows.to(options.device))
        loss.backward()
        training.update()
        training.losses.append(loss.item())
        if not math.isfinite(training.losses[-1]):
            raise BadInput(f"The loss is not finite at step {training.step}: try a lower --rate.")
        training.seconds = time.monotonic() - clock
        yield training.done


def train(training: Training) -> None:
    """Train with a progress bar; write a log line and a checkpoint every `--every` steps."""
    every = training.options.every
    shape = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=100.0, initial=100 * training.done, bar_format=shape, desc="training") as bar:
        for done in steps(training):
            bar.update(100 * done - bar.n)
            if training.step % every == 0:
                bar.set_postfix_str(f"loss {training.losses[-1]:.3f}")
                tqdm.write(report(training), file=sys.stdout)
                sys.stdout.flush()
                training.save()
    training.save()


def finish(training: Training) -> None:
    """Save the last weights or their moving average, whichever is better on the held-out stories."""
    model, tokenizer = training.model, training.tokenizer
    last = {name: weight.clone() for name, weight in named_weights(model).items()}
    candidates = {"last weights": last, "averaged weights": training.average}
    measured = {}
    for name, weights in candidates.items():
        model.load_state_dict(weights, strict=False)
        measured[name] = bits_per_byte(model, tokenizer, training.held_out)
        print(f"{name}: held-out {measured[name]:.4f} bits per byte")
    best = min(measured, key=lambda name: measured[name])
    model.load_state_dict(candidates[best], strict=False)
    model.save_pretrained(training.options.work / "model")
    print(f"{best} saved in {training.options.work / 'model'}")


# ---- command line


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and less than 1")
    return value


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--stories", nargs="+", type=Path, metavar="FILE", help="train on these .txt or .jsonl files"
    )
    task.add_argument(
        "--measure", type=Path, metavar="DIR", help="measure this model on the file given by --evaluate"
    )
    parser.add_argument(
        "--evaluate", type=Path, metavar="FILE", help="stories on which to measure the trained model"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        default=Path("training"),
        help="directory for the checkpoint and the model",
    )
    parser.add_argument(
        "--init", type=Path, metavar="DIR", help="start from this model's weights and tokenizer"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=count, help="number of training steps")
    budget.add_argument(
        "--minutes", type=positive, default=60.0, help="training time in minutes, if --steps is not given"
    )
    add_settings(parser)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--batch", type=count, default=8, help="windows per step")
    add("--length", type=count, default=384, help="tokens per window")
    add("--rate", type=positive, default=1.5e-3, help="highest learning rate")
    add("--weight-decay", type=share, default=0.1, help="weight decay of the hidden matrices")
    add("--dropout", type=share, default=0.0, help="dropout of the attention and MLP outputs")
    add("--split", type=share, default=0.1, help="share of tokens split in every other window, decaying to 0")
    add("--average", type=share, default=0.995, help="decay of the weights' moving average")
    add("--held-out", type=count, default=48, help="number of stories, the last ones, to hold out")
    add("--every", type=count, default=100, help="steps between two log lines and checkpoints")
    add("--seed", type=int, default=0)
    add("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    add(
        "--compile",
        action="store_true",
        help="use torch.compile: slower to start, then faster; needs a C++ compiler",
    )


def run(options: argparse.Namespace) -> None:
    if options.measure:
        if not options.evaluate:
            raise BadInput("--measure requires --evaluate FILE.")
        return measure(options.measure, options.evaluate)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: no CUDA device was found.")
    if options.evaluate:
        read_stories(options.evaluate)  # report errors now, not after training
    training = start_or_resume(options)
    stories = training.batches.stories
    tokens, weights = sum(map(len, stories)), sum(weight.numel() for weight in training.model.parameters())
    print(f"{len(stories)} stories, {tokens / 1e6:.2f}M tokens, {weights / 1e6:.2f}M parameters", flush=True)
    train(training)
    finish(training)
    if options.evaluate:
        measure(options.work / "model", options.evaluate)


def fail(sentence: str) -> int:
    print(f"train_demo_model.py: {sentence}", file=sys.stderr)
    return 2


def main() -> int:
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        run(arguments().parse_args())
    except BadInput as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    except KeyboardInterrupt:
        print(
            "Interrupted. Run the same command again to resume from the last checkpoint.",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
