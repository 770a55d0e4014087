"""Finding the blocks of a model and the linears in them, by structure, never by the name of a class.

Linears are modules (`nn.Linear`, `Conv1D`), and slices of fused expert parameters that are stored as
`[experts, out, in]` and multiplied expert by expert, which their module declares (`is_transposed` in
transformers). `skipped_kind` names what is never pruned: routers, which are recognised as siblings of the
experts with one output per expert, or a single output; experts in other layouts (GPT-OSS, Llama-4); and
linears whose parameter occurs in several blocks (Zamba2), because pruning it in one block would change the
others, including the dense reference. Works on the meta device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from torch import nn
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

from engine.models.block import Block, Linear
from engine.models.parts import part_of


@dataclass(frozen=True)
class Experts:
    """The fused experts of a block.

    Attributes:
        path: the path of their module within the block.
        module: the module that holds them.
        parameters: the names of its three-dimensional parameters.
        count: the number of experts.
    """

    path: str
    module: nn.Module
    parameters: tuple[str, ...]
    count: int

    @property
    def separable(self) -> bool:
        """Whether each expert's slice is a weight `[out, in]` that can be multiplied separately."""
        return getattr(self.module, "is_transposed", None) is False


def find_blocks(model: nn.Module) -> list[Block]:
    """Return the blocks of a model: the outermost `nn.ModuleList` with the most parameters in its decoder.

    Raises:
        LookupError: the model has no module list.
    """
    found = _all_blocks(model)
    times = Counter(_identity(linear) for block in found for linear in block.linears.values())
    return [
        replace(
            block,
            linears={name: linear for name, linear in block.linears.items() if times[_identity(linear)] == 1},
        )
        for block in found
    ]


def skipped_kind(model: nn.Module) -> dict[int, str]:
    """Return the kind of each parameter that is never pruned, by the parameter's `id`; a tied one occurs
    once.

    Kinds: embeddings, head, norms and biases, routers, fused experts, state space, shared between blocks,
    other; and those of `engine.models.parts`.
    """
    blocks = _all_blocks(model)
    pruned = {id(linear.stored) for block in find_blocks(model) for linear in block.linears.values()}
    kinds: dict[int, str] = {}
    for kind, parameters in _kinds(model, blocks):
        for parameter in parameters:
            if id(parameter) not in pruned:
                kinds.setdefault(id(parameter), kind)
    return kinds


def _kinds(model: nn.Module, blocks: list[Block]) -> Iterator[tuple[str, Iterable[nn.Parameter]]]:
    """Yield kinds and their parameters; a parameter is of the first kind under which it appears."""
    parameters = dict(model.named_parameters())
    text = blocks[0].path.rpartition(".")[0].rpartition(".")[0]  # `model.layers.0` -> `model`
    for name, parameter in parameters.items():
        if not name.startswith(f"{text}.") and (part := part_of(name)):
            yield part, [parameter]
    # Next, so that a tied head counts as embeddings.
    yield (
        "embeddings",
        chain.from_iterable(
            child.parameters() for child in model.modules() if isinstance(child, nn.Embedding)
        ),
    )
    # Before the next rule, which would take its vectors (`D`, `dt_bias`).
    yield "state space", chain.from_iterable(_state_space(block.module) for block in blocks)
    yield "norms and biases", [parameter for parameter in parameters.values() if parameter.ndim == 1]
    for block in blocks:
        yield "routers", _routers(block.module)
        for experts in find_experts(block.module):
            yield "fused experts", [getattr(experts.module, name) for name in experts.parameters]
            # biases of experts are `[experts, out]`, so the rule for vectors misses them
            yield "norms and biases", experts.module.parameters(recurse=False)
    # all linears; the caller leaves out those that are pruned
    yield "shared between blocks", [linear.stored for block in blocks for linear in block.linears.values()]
    yield (
        "head",
        [
            parameter
            for name, parameter in parameters.items()
            if "head" in name or name.startswith("embed_out")  # GPT-NeoX's head is called `embed_out`
        ],
    )
    yield "other", parameters.values()


def _state_space(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the direct parameters (`A_log`, `D`, `dt_bias`) and the convolution of state-space mixers."""
    for mixer in module.modules():
        if hasattr(mixer, "A_log"):
            yield from mixer.parameters(recurse=False)
            for child in mixer.children():
                if isinstance(child, _ConvNd):
                    yield from child.parameters()


def find_experts(module: nn.Module) -> list[Experts]:
    """Return the fused experts in a block: modules, except convolutions, with parameters `[experts, ...]`."""
    found = []
    for path, child in module.named_modules():
        fused = {
            name: parameter
            for name, parameter in child.named_parameters(recurse=False)
            if parameter.ndim == 3 and len(parameter) > 1  # `[experts, out, in]` or `[experts, in, out]`
        }
        if fused and not isinstance(child, _ConvNd):  # a Conv1d's weight also has three dimensions
            found.append(Experts(path, child, tuple(fused), len(next(iter(fused.values())))))
    return found


def _routers(module: nn.Module) -> list[nn.Parameter]:
    """Return the matrices that decide which experts process a token, and the gate of a shared expert."""
    found: list[nn.Parameter] = []
    for experts in find_experts(module):
        outer, _, own = experts.path.rpartition(".")
        for name, child in module.get_submodule(outer).named_children():
            if (
                name != own
                # the attention is a sibling where the experts belong directly to the block
                and "attention" not in type(child).__name__.lower()
                and _routes(child, experts.count)
            ):
                found += [parameter for parameter in child.parameters() if parameter.ndim == 2]
    return found


def _routes(module: nn.Module, experts: int) -> bool:
    """Return whether a module has one output per expert, which nothing in it reads, or a single output."""
    shapes = [tuple(parameter.shape) for parameter in module.parameters() if parameter.ndim == 2]
    scores_experts = any(rows == experts for rows, _ in shapes)
    # true for an MLP whose inner width happens to be the number of experts
    reads_scores = any(columns == experts for _, columns in shapes)
    # a single output is the gate of a shared expert, as in Qwen2-MoE
    return (scores_experts and not reads_scores) or (isinstance(module, nn.Linear) and shapes[0][0] == 1)


def _identity(linear: Linear) -> tuple[int, int | None]:
    return id(linear.stored), linear.expert


def _all_blocks(model: nn.Module) -> list[Block]:
    """Return the blocks with all of their linears, including those whose parameter several blocks share."""
    lists = _outermost_lists(model)
    if not lists:
        raise LookupError("no list of blocks")
    # A multimodal model has further lists outside its decoder: those of its towers, which may be larger.
    decoder: nn.Module = getattr(model, "get_decoder", lambda: model)()
    inside = {id(module) for module in decoder.modules()}
    lists = [item for item in lists if id(item[1]) in inside] or lists
    path, modules = max(lists, key=lambda item: sum(parameter.numel() for parameter in item[1].parameters()))
    last = max(1, len(modules) - 1)
    return [_block(index, index / last, f"{path}.{index}", module) for index, module in enumerate(modules)]


def _outermost_lists(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():  # parents come before their children
        # lists inside a block hold its experts or heads, not blocks
        inside = any(path.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not inside:
            found.append((path, module))
    return found


def _block(index: int, depth: float, path: str, module: nn.Module) -> Block:
    attention = [
        name for name, child in module.named_modules() if name and "attention" in type(child).__name__.lower()
    ]
    experts = {found.path: found for found in find_experts(module) if found.separable}
    routers = {id(parameter) for parameter in _routers(module)}
    linears: dict[str, Linear] = {}
    for name, child in module.named_modules():
        if isinstance(child, (nn.Linear, Conv1D)) and id(child.weight) not in routers:
            inside = any(name.startswith(f"{outer}.") for outer in attention)
            linears[name] = Linear(
                name, f"{path}.{name}", child, transposed=isinstance(child, Conv1D), attention=inside
            )
        if name in experts:
            linears |= {linear.name: linear for linear in _slices(path, experts[name])}
    placed = {name: replace(linear, block=index, depth=depth) for name, linear in linears.items()}
    return Block(index, path, module, placed)


def _slices(path: str, experts: Experts) -> Iterator[Linear]:
    """Yield the linears expert by expert."""
    for expert in range(experts.count):
        for parameter in experts.parameters:
            name = f"{experts.path}.{expert}.{parameter}"
            yield Linear(name, f"{path}.{name}", experts.module, expert=expert, parameter=parameter)
