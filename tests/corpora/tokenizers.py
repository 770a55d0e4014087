"""Small tokenizers of every kind, made on the spot, and a slow count of the bytes that their tokens stand
for.
"""

import json
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
SAMPLE = [
    "The quick brown fox jumps over the lazy dog. Once upon a time there was a café, naïve and small.",
    "你好世界 你好 世界 🙂🙂🎉 ok 🙂",
    "  two  spaces\n\n\nnew lines\tand tabs   ",
] * 20
TEXT = (
    "Once there was 你好世界, 🙂🎉 and a café!\n\n  Two  spaces<unk> and 👩‍👩‍👧 龘靐 "
    "— ‘quotes’ \u2028 of all "
    "kinds\r\n" * 30
)


@cache
def bundled() -> PreTrainedTokenizerFast:
    """The demo model's: byte-level BPE, nothing put in."""
    return AutoTokenizer.from_pretrained(ROOT / "assets" / "demo-model")


@cache
def byte_level() -> PreTrainedTokenizerFast:
    """As GPT-2's and OPT's: pieces of characters, a start token put before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SAMPLE, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


@cache
def words() -> PreTrainedTokenizerFast:
    """As Llama-2's: a blank before the text, blanks as "▁", unknown characters as single bytes, a start
    token.
    """
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    letters = ["plain words in the sample, and nothing else; A to Z"] * 9
    learner.train_from_iterator(
        letters, trainers.BpeTrainer(vocab_size=60, special_tokens=["<s>", "<unk>"], show_progress=False)
    )
    learnt = json.loads(learner.to_str())["model"]
    vocabulary = learnt["vocab"] | {f"<0x{byte:02X}>": len(learnt["vocab"]) + byte for byte in range(256)}
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = learner.pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


@cache
def composing() -> PreTrainedTokenizerFast:
    """As Qwen's: characters are composed first, so that the tokens are not spelt as the text."""
    tokenizer = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    tokenizer.normalizer = normalizers.NFC()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def slow_bytes(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Bytes that each token stands for, from its name alone. A blank before the text, which the tokenizer
    puts there, is not counted.
    """
    ids = tokenizer(text, verbose=False)["input_ids"]
    letters = {chr(code) for _, code in _gpt2_letters()}
    counts = []
    for number, name in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        if number == tokenizer.bos_token_id:
            counts.append(0)
        elif name == "<unk>":
            counts.append(5)
        elif name.startswith("<0x"):
            counts.append(1)
        else:
            counts.append(len(name) if set(name) <= letters else len(name.replace("▁", " ").encode()))
    if sum(counts) == len(text.encode()) + 1:
        counts[next(place for place, count in enumerate(counts) if count)] -= 1
    return counts


def _gpt2_letters() -> list[tuple[int, int]]:
    shown = [
        byte for byte in range(256) if chr(byte).isprintable() and not chr(byte).isspace() and byte != 173
    ]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [(byte, byte) for byte in shown] + [(byte, 256 + place) for place, byte in enumerate(hidden)]
