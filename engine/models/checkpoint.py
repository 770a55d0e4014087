"""The weight files of a directory: which tensors they hold, which parameter each one fills, and reading them.

Before any weight is read, `check` accounts for every tensor, with the headers of the files alone: its name is
converted as transformers does when it loads the model, and the whole load is rehearsed on the meta device. A
model whose files and class do not fit each other exactly is rejected, because whatever is left over or
missing means other numbers than those of the model that was meant.

Renaming, merging (the experts of a mixture are separate in the files and fused in the model) and casting are
done by transformers' own loader, which is given the tensors of one block at a time. That loader is internal
to the library, so it is called here and nowhere else.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.errors import ModelError
from engine.hub.cache import CAUSAL_SUFFIXES, CONFIG, INDEX, SINGLE, stored_weights
from engine.hub.failures import first_words, no_safetensors
from engine.models.parts import COMPUTED, left_out
from engine.models.quantisation import Quantisation, shown_by
from engine.models.tensor_mapping import Filling, fillings

RELOAD = "Download or save the model again."
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The dtypes of weights; any other one holds codes, masks or counts."""
NO_CODES = ("BOOL", "C64")
WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "module", "base_layer")
"""Parts of names that come from what is put around the submodules of a model during training."""


@dataclass(frozen=True)
class Stored:
    """A tensor as the header of its file describes it; `dtype` in the words of safetensors ("BF16")."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


class Checkpoint:
    """The weight files of a directory.

    Args:
        directory: as for `from_pretrained`.
        name: what error messages call the model.

    Attributes:
        paths: the weight files.
        tensors: every tensor by its name in the files.
        filled: the parameter or buffer of the model that a tensor fills, by the tensor's name in the files;
            of several, the first one. Empty before `check`.
        left_out: number of weights that the model leaves out, by part. Empty before `check`.

    Raises:
        ModelError: there are no safetensors, a file is missing or damaged, or the weights are quantised.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.paths = _weight_files(directory, name)
        self.tensors: dict[str, Stored] = {}
        self.filled: dict[str, str] = {}
        self.left_out: Counter[str] = Counter()
        for path in self.paths:
            with self._opened(path) as file:
                for tensor in file.keys():  # noqa: SIM118  (not a dictionary)
                    header = file.get_slice(tensor)
                    stored = Stored(path, str(header.get_dtype()), tuple(header.get_shape()))
                    if tensor in self.tensors:
                        self._require_equal((tensor, self.tensors[tensor]), (tensor, stored))
                    self.tensors[tensor] = stored  # transformers, too, takes the last one
        if found := shown_by({name: stored.dtype for name, stored in self.tensors.items()}):
            raise found.error(name)

    def check(self, skeleton: nn.Module) -> None:
        """Account for every tensor of the files and every parameter of the model.

        Args:
            skeleton: the model on the meta device; it is used up.

        Raises:
            ModelError: a tensor is left over, stored twice, or not a weight; or a parameter has no tensor, or
                one of another shape.
        """
        found = fillings(skeleton, self.tensors)
        self._require_single(found)
        self.filled = {name: each.parameters[0] for each in found if each.parameters for name in each.tensors}
        self._require_weights(skeleton)
        missing = self._rehearse(skeleton)
        extra = self._leave_out([each for each in found if not each.parameters], skeleton)
        if missing or extra:
            self._require_head(skeleton, missing)
        if missing:
            raise self._incomplete(missing, extra)
        if extra:
            more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
            raise ModelError(
                f"The files of {self.name} contain {extra[0]}{more}, which its class "
                f"({type(skeleton).__name__}) would ignore. Use a config.json that fits the weights, or save "
                "the model again without them.",
                kind="damaged",
            )

    def of_block(self, block_list: str, index: int) -> list[str]:
        """Return the names of the tensors of a block; `block_list` is the path of the list of blocks."""
        return [name for name, target in self.filled.items() if _block_of(block_list, target) == index]

    def outside(self, block_list: str) -> list[str]:
        """Return the names of the used tensors that belong to no block."""
        return [name for name, target in self.filled.items() if _block_of(block_list, target) is None]

    def fill(
        self, module: nn.Module, names: Collection[str], dtype: torch.dtype, device: torch.device
    ) -> None:
        """Read tensors into their parameters of `module`, converted to this dtype and device.

        Raises:
            ModelError: a file is damaged, or a tensor does not have the shape of its parameter.
        """
        with self._slices(names) as tensors:
            try:
                self._load(module, tensors, dtype, device)
            except (SafetensorError, OSError) as error:
                raise self._damaged(error) from error

    def _require_single(self, found: list[Filling]) -> None:
        """Reject a parameter that is stored under several names, unless all values are the same."""
        sources: dict[str, list[str]] = defaultdict(list)
        for filling in found:
            # What is merged takes several tensors, but only once.
            names = filling.tensors[:1] if filling.converted else filling.tensors
            for parameter in filling.parameters:
                sources[parameter] += names
        for first, *others in sources.values():
            for other in others:
                self._require_equal((first, self.tensors[first]), (other, self.tensors[other]))

    def _require_weights(self, skeleton: nn.Module) -> None:
        """Reject codes that would be read as weights."""
        parameters = {name for name, _ in skeleton.named_parameters(remove_duplicate=False)}
        for name, target in self.filled.items():
            if target in parameters and (dtype := self.tensors[name].dtype) not in FLOATS:
                words = f"{name} has the type {dtype}"
                if dtype in NO_CODES:
                    raise self._unfit(words)
                raise Quantisation(words, None).error(self.name)

    def _leave_out(self, unused: list[Filling], skeleton: nn.Module) -> list[str]:
        """Count the weights of other parts; return the tensors that must not be left out."""
        extra = []
        for filling in unused:
            for name in filling.tensors:
                shape = self.tensors[name].shape
                kind = left_out(filling.target, shape, skeleton)
                if kind is None:
                    extra.append(name)
                elif kind != COMPUTED:
                    self.left_out[kind] += prod(shape)
        return extra

    def _rehearse(self, skeleton: nn.Module) -> list[str]:
        """Load the headers instead of the tensors; return the parameters and buffers that stay empty."""
        model: Any = skeleton
        meta = torch.device("meta")
        shapes: dict[str, Tensor] = {
            name: torch.empty(stored.shape, dtype=FLOATS.get(stored.dtype, torch.float32), device=meta)
            for name, stored in self.tensors.items()
            if name in self.filled
        }
        buffers = {name for name, _ in model.named_buffers()}
        missing = self._load(model, shapes, torch.float32, meta)
        model.tie_weights(missing_keys=missing, recompute_mapping=False)
        optional = model._keys_to_ignore_on_load_missing or ()
        return sorted(
            name
            for name in missing
            if name not in buffers or not any(re.search(pattern, name) for pattern in optional)
        )

    def _load(
        self, module: Any, tensors: Mapping[str, Any], dtype: torch.dtype, device: torch.device
    ) -> set[str]:
        """Run transformers' loader; return the names that none of these tensors fills."""
        # Internal modules: imported here, so that a release that moves them breaks nothing but loading.
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        settings = LoadStateDictConfig(
            dtype=dtype,
            dtype_plan=module._get_dtype_plan(dtype),  # some classes keep some weights in float32
            device_map={"": device},  # "" is the whole model
            weight_mapping=get_model_conversion_mapping(module),  # type: ignore[arg-type]
        )
        info, _ = convert_and_load_state_dict_in_model(module, dict(tensors), settings)
        wrong = [
            f"{name} has the shape {tuple(found)} instead of {tuple(expected)}"
            for name, found, expected in sorted(info.mismatched_keys)
        ] + [f"{name} cannot be made from them" for name in info.conversion_errors]
        if wrong:
            raise self._unfit(wrong[0])
        return info.missing_keys

    def _require_head(self, skeleton: Any, missing: list[str]) -> None:
        """Reject a model that lacks nothing but a head which its class does not have: it is complete."""
        saved_as = " ".join(skeleton.config.architectures or ())
        head = skeleton.get_output_embeddings()
        names = {name for name, module in skeleton.named_modules() if module is head}
        if (
            saved_as
            and not saved_as.endswith((*CAUSAL_SUFFIXES, "ForConditionalGeneration"))
            and all(name.rpartition(".")[0] in names for name in missing)
        ):
            raise ModelError(
                f"The model {self.name} was saved as {saved_as}, which does not predict the next token. "
                "Choose the causal language model that it was made from.",
                kind="not-causal",
            )

    def _incomplete(self, missing: list[str], extra: list[str]) -> ModelError:
        """Return the error for parameters without a tensor; `extra` are tensors without a parameter."""
        if wrapped := _wrapped(set(missing), extra):
            wanted, there, wrapper = wrapped
            why = (
                f"{wanted}, but have {there}: the names have an additional `{wrapper}`, as if the model had "
                "been saved inside a wrapper (torch.compile, DDP, peft, a trainer). Remove it from the "
                "names, or save the model itself with `save_pretrained`."
            )
        else:
            instead = f", but have {extra[0]}, which its class does not know" if extra else ""
            why = f"{missing[0]}{instead}, so they are incomplete. {RELOAD}"
        return ModelError(f"The files of {self.name} do not contain {why}", kind="damaged")

    def _unfit(self, why: str) -> ModelError:
        return ModelError(
            f"The weights of {self.name} do not fit its configuration: {why}. The files are damaged or from "
            f"different models. {RELOAD}",
            kind="damaged",
        )

    def _require_equal(self, one: tuple[str, Stored], other: tuple[str, Stored]) -> None:
        """Reject a tensor that is stored twice with different values."""
        shapes = {(stored.dtype, stored.shape) for _, stored in (one, other)}
        if len(shapes) > 1 or not torch.equal(self._bytes(*one), self._bytes(*other)):
            places = " and as ".join(f"{name} in {stored.file.name}" for name, stored in (one, other))
            raise ModelError(
                f"The files of {self.name} contain one weight twice with different values, as {places}, so "
                f"it is not clear which one is meant. {RELOAD}",
                kind="damaged",
            )

    def _bytes(self, name: str, stored: Stored) -> Tensor:
        with self._opened(stored.file) as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor.reshape(-1).view(torch.uint8)

    @contextmanager
    def _slices(self, names: Collection[str]) -> Iterator[dict[str, Any]]:
        """Open the files; the tensors are read only when the loader indexes them."""
        paths = {self.tensors[name].file for name in names}
        with ExitStack() as stack:
            files = {path: stack.enter_context(self._opened(path)) for path in paths}
            yield {name: files[self.tensors[name].file].get_slice(name) for name in names}

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            file = safe_open(path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise self._damaged(error, path) from error
        with file:
            yield file

    def _damaged(self, error: Exception, path: Path | None = None) -> ModelError:
        file = f"The file {path.name} of {self.name}" if path else f"A file of {self.name}"
        return ModelError(f"{file} is damaged ({first_words(error, 120)}). {RELOAD}", kind="damaged")


def _wrapped(missing: Collection[str], extra: list[str]) -> tuple[str, str, str] | None:
    """Return a missing name, the one in its place, and what is additional in that: in front, or anywhere if
    it is a wrapper that PyTorch or peft puts around submodules. None if the names do not differ so.
    """
    for name in extra:
        parts = name.split(".")
        for place in range(1, len(parts)):
            if (rest := ".".join(parts[place:])) in missing:
                return rest, name, name.removesuffix(rest)
        wrappers = [part for part in parts if part in WRAPPERS]
        if wrappers and (rest := ".".join(part for part in parts if part not in WRAPPERS)) in missing:
            return rest, name, f"{wrappers[0]}."
    return None


def _block_of(block_list: str, target: str) -> int | None:
    rest = target.removeprefix(f"{block_list}.")
    return None if rest == target else int(rest.partition(".")[0])


def _weight_files(directory: Path, name: str) -> list[Path]:
    """Return the weight files that transformers would read."""
    try:
        names = stored_weights(directory)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The weight files of {name} are not known, because {INDEX} or {CONFIG} is damaged "
            f"({first_words(error)}). {RELOAD}",
            kind="damaged",
        ) from error
    missing = [file for file in names if not (directory / file).is_file()]
    if missing == [SINGLE]:
        paths = [*directory.iterdir(), *directory.glob("*/*.safetensors")]
        found = sorted(path.relative_to(directory).as_posix() for path in paths)
        raise no_safetensors(name, found, local=True)
    if missing or not names:
        file = missing[0] if missing else INDEX
        raise ModelError(f"The file {file} of {name} is missing. {RELOAD}", kind="damaged")
    return [directory / file for file in names]
