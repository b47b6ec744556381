"""Whether an adapter is whole, fits a base, and can be served beside others: read from its files, without torch.

Everything found wrong is said in one plain sentence. Nothing here trusts the folder: the configuration is parsed as
JSON and never turned into classes, and of the weights only the safetensors header is read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from adapters.bases import Origin, find_base_mismatch, to_shareable_id
from adapters.common.errors import UserError, shortened
from adapters.folder_layout import CONFIG_FILE, PICKLE_FILE, WEIGHTS_FILE
from adapters.record import RECORD_FILE, AdapterRecord
from adapters.safetensors_header import TensorFacts, read_header

MAX_CONFIG = 1_000_000
_MAX_RANK = 65_536  # no layer is that wide
_MAX_ALPHA = 1e9
_MAX_NAME = 500
_MAX_PATTERNS = 1_000  # each of them is tried on each module
_PREFIX = "base_model.model."  # what PEFT puts before every module's path
_LORA_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")

# LoraConfig fields that leave y = Wx + scaling * B(Ax) as it is: bookkeeping, choices made for training only, and
# those that `scaling` and `linears` account for. Any other field that is switched on changes the calculation.
_PLAIN_FIELDS = frozenset(
    {
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "exclude_modules",
        "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "loftq_config",
        "lora_alpha", "lora_dropout", "lora_ga_config", "megatron_core", "peft_type", "peft_version",
        "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type",
        "use_rslora",
    }
)  # fmt: skip
# Starting points that leave the base's weights alone. The others (PiSSA, OLoRA, LoftQ, ...) move a part of the base
# into the adapter, so that the adapter is right only on a base that is changed in the same way.
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class LoraPair:
    """The two matrices on one linear layer: A is (rank, in_features), B is (out_features, rank)."""

    rank: int
    in_features: int
    out_features: int


@dataclass(frozen=True)
class BaseFacts:
    """What has to be known of a base to judge an adapter; `linears` maps module path -> (out_features, in_features).

    Without `linears` (a base that is not loaded) shapes are not judged.
    """

    id: str
    fingerprint: str | None = None
    linears: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class AdapterFacts:
    folder: Path
    config: dict[str, Any]
    tensors: dict[str, TensorFacts]
    size_bytes: int
    origin: Origin

    @property
    def base_model(self) -> str:
        return self.origin.base_model

    @cached_property
    def pairs(self) -> dict[str, LoraPair]:
        """Module path in the base -> its LoRA pair. Tensors that are not whole 2-D pairs are left to `odd_tensors`."""
        sides: dict[str, dict[str, TensorFacts]] = {}
        for key, tensor in self.tensors.items():
            match = _LORA_KEY.fullmatch(key)
            if match and len(tensor.shape) == 2:
                sides.setdefault(match["module"].removeprefix(_PREFIX), {})[match["side"]] = tensor
        return {
            module: LoraPair(pair["A"].shape[0], pair["A"].shape[1], pair["B"].shape[0])
            for module, pair in sides.items()
            if len(pair) == 2 and pair["A"].shape[0] == pair["B"].shape[1]
        }

    @cached_property
    def odd_tensors(self) -> list[str]:
        """Names of the tensors that are not one half of a LoRA pair."""
        paired = {f"{module}.lora_{side}.weight" for module in self.pairs for side in "AB"}
        return sorted(key for key in self.tensors if key.removeprefix(_PREFIX) not in paired)

    @property
    def max_rank(self) -> int:
        return max((pair.rank for pair in self.pairs.values()), default=0)

    def scaling(self, module: str) -> float:
        """The factor on B·A for one module, as PEFT calculates it: alpha / r, or alpha / sqrt(r) with rsLoRA."""
        alpha = _by_pattern(self.config.get("alpha_pattern"), module, self.config.get("lora_alpha", 8))
        rank = _by_pattern(self.config.get("rank_pattern"), module, self.config.get("r", 8))
        return float(alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank)


def inspect(folder: Path) -> AdapterFacts:
    """The facts about the adapter in `folder`.

    Raises UserError when the folder is not a whole adapter: no configuration, no weights, only pickled weights, a
    truncated or malformed weights file, links instead of files.
    """
    if not folder.is_dir():
        raise UserError(f"There is no adapter folder at {folder}.", "Give a folder that PEFT has saved.")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if (folder / name).is_symlink():
            raise UserError(f"{folder.name}/{name} is a link.", "Put the file itself there.")
    config_path = folder / CONFIG_FILE
    if not config_path.is_file():
        raise UserError(
            f"{folder.name} has no {CONFIG_FILE}, so it is not a PEFT adapter.", "Give a folder that PEFT has saved."
        )
    if config_path.stat().st_size > MAX_CONFIG:
        raise UserError(f"{folder.name}/{CONFIG_FILE} is larger than any adapter's.", "Fetch or save the adapter anew.")
    config = parse_config(config_path.read_bytes(), where=f"{folder.name}/{CONFIG_FILE}")
    weights_path = folder / WEIGHTS_FILE
    if not weights_path.is_file():
        raise UserError(*missing_weights(folder.name, (folder / PICKLE_FILE).exists()))
    tensors = read_header(weights_path)
    if not tensors:
        raise UserError(f"{folder.name}/{WEIGHTS_FILE} holds no tensors.", "Train or fetch the adapter anew.")
    origin = Origin(config["base_model_name_or_path"])
    if (folder / RECORD_FILE).exists():
        origin = replace(Origin.of(AdapterRecord.read(folder)), base_model=origin.base_model)
    return AdapterFacts(folder, config, tensors, weights_path.stat().st_size, origin)


def missing_weights(name: str, pickled: bool) -> tuple[str, str]:
    """Message and remedy for an adapter without safetensors weights; `pickled`: it has an adapter_model.bin."""
    if pickled:
        return (
            f"{name} has its weights only as {PICKLE_FILE}, a pickle file, which could run any program when read.",
            f"Ask its author for {WEIGHTS_FILE}, or convert it on a machine where that does no harm "
            "(load it with PEFT there and call save_pretrained).",
        )
    return f"{name} has no {WEIGHTS_FILE}.", "Train or fetch the adapter anew."


def parse_config(content: bytes, *, where: str = CONFIG_FILE) -> dict[str, Any]:
    """The adapter configuration as plain JSON values. Raises UserError unless it names a PEFT method and a base."""
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}.", "Fetch or save the adapter anew.") from error
    if not isinstance(config, dict):
        raise UserError(f"{where} is not a JSON object.", "Fetch or save the adapter anew.")
    for key, meaning in (("peft_type", "the PEFT method"), ("base_model_name_or_path", "the base")):
        if not isinstance(config.get(key), str) or not config[key].strip():
            raise UserError(f"{where} does not name {meaning} ({key}).", "Add it, or save the adapter anew with PEFT.")
    base = config["base_model_name_or_path"]
    if len(base) > _MAX_NAME or not base.isprintable() or set(base) & set('"`<>'):
        raise UserError(  # it is written into cards, and there into code to copy
            f"{where} names a base that no model is called: {shortened(base)}.", "Do not use it."
        )
    if config["peft_type"] == "LORA":
        _check_numbers(config, where)
    return config


def _check_numbers(config: dict[str, Any], where: str) -> None:
    """Refuse ranks and alphas that no calculation can use, so that `scaling` never fails later on."""
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    if not isinstance(ranks, dict) or not isinstance(alphas, dict):
        raise UserError(f"{where}: rank_pattern and alpha_pattern must be objects.", "Save the adapter anew with PEFT.")
    for key, value in [("r", config.get("r", 8)), *(("rank_pattern", rank) for rank in ranks.values())]:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_RANK:
            raise UserError(
                f"{where}: {key} must be whole and between 1 and {_MAX_RANK}, not {shortened(value)}.",
                "Save the adapter anew.",
            )
    for key, value in [("lora_alpha", config.get("lora_alpha", 8)), *(("alpha_pattern", a) for a in alphas.values())]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_ALPHA:
            raise UserError(f"{where}: {key} must be a number, not {shortened(value)}.", "Save the adapter anew.")
    if len(ranks) + len(alphas) > _MAX_PATTERNS:
        raise UserError(f"{where} has more than {_MAX_PATTERNS} patterns.", "Save the adapter anew with PEFT.")
    for pattern in (*ranks, *alphas):
        if "(" in pattern or sum(map(pattern.count, "*+?{")) > 2:
            raise UserError(  # a stranger's pattern must not be able to keep the engine busy for hours
                f"{where}: the pattern {pattern!r} is more than a module's name.", "Name the modules one by one."
            )
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{where}: {pattern!r} is not a pattern: {error}.", "Save the adapter anew.") from error


def why_not(facts: AdapterFacts, base: BaseFacts) -> str | None:
    """Why the adapter does not fit the base, in one sentence; None when it fits.

    Shapes count whatever names, fingerprints and people say.
    """
    return find_base_mismatch(facts.origin, base.id, base.fingerprint) or why_not_shapes(facts, base)


def why_not_shapes(facts: AdapterFacts, base: BaseFacts) -> str | None:
    """Which of the adapter's layers the base does not have so; None too where `base.linears` is not known."""
    if not base.linears:
        return None
    for module, pair in facts.pairs.items():
        if module not in base.linears:
            return f"It has weights for {module}, which {to_shareable_id(base.id)} does not have."
        out_features, in_features = base.linears[module]
        if (pair.out_features, pair.in_features) != (out_features, in_features):
            return (
                f"Its weights for {module} are made for a layer of {pair.out_features} x {pair.in_features}; "
                f"in {to_shareable_id(base.id)} that layer is {out_features} x {in_features}."
            )
    return None


def why_not_config(config: Mapping[str, Any]) -> str | None:
    """What in an adapter's configuration the engine cannot serve; None when it is plain LoRA."""
    if config["peft_type"] != "LORA":
        return f"It is a {config['peft_type']} adapter; only LoRA is served."
    if config.get("use_dora"):
        return "It uses DoRA, which also rescales the base's weights."
    if modules := config.get("modules_to_save"):
        named = ", ".join(map(str, modules)) if isinstance(modules, list) else str(modules)
        return f"It replaces whole layers of the base ({named})."
    if config.get("bias", "none") != "none" or config.get("lora_bias"):
        return "It has trained biases."
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        return f"It was started with {config['init_lora_weights']}, which also changes the base's weights."
    others = sorted(
        key for key, value in config.items() if key not in _PLAIN_FIELDS and value and (key, value) != ("bias", "none")
    )
    if others:
        return f"It uses {', '.join(others)}, which changes the calculation."
    return None


def why_not_lora(config: Mapping[str, Any], *, rank: int, odd: Sequence[str], max_rank: int) -> str | None:
    """Why the engine cannot serve such an adapter, whether it is there or only planned; None when it can.

    rank: the highest of its ranks. odd: what it has weights for that are not LoRA pairs on linear layers. max_rank: up
    to which the slots calculate.
    """
    if reason := why_not_config(config):
        return reason
    if odd:
        return f"It has weights that are not LoRA pairs on linear layers, such as {odd[0]}."
    if rank > max_rank:
        return f"Its rank is {rank}; the engine's slots hold up to {max_rank}."
    return None


def why_not_slots(facts: AdapterFacts, max_rank: int) -> str | None:
    """Why the engine cannot serve the adapter beside others in its slots, which calculate plain LoRA up to `max_rank`.

    None when it can.
    """
    config = facts.config
    if reason := why_not_lora(config, rank=facts.max_rank, odd=facts.odd_tensors, max_rank=max_rank):
        return reason
    wrong = [
        m
        for m, pair in facts.pairs.items()
        if pair.rank != _by_pattern(config.get("rank_pattern"), m, config.get("r", 8))
    ]
    if wrong:
        return f"The rank of its weights for {wrong[0]} is not the one that {CONFIG_FILE} gives."
    return None


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """PEFT's rule (peft.utils.get_pattern_key): the first pattern that matches the end of the module's path counts."""
    for pattern, value in (patterns or {}).items():
        if _ending(pattern).match(module):
            return value
    return default


@lru_cache(maxsize=2 * _MAX_PATTERNS)
def _ending(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(.*\.)?({pattern})$")
