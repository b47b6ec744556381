"""From a loaded base to an engine: what it caches is probed, memory is planned, and the step loop is checked against
the model's own forward before anyone is served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from adapters.common.errors import UserError
from core.data.tokenize.end_of_turn import stop_ids
from core.models.base_check import context_length, vocabulary
from core.models.device import Choice
from core.serving.engine.attention_masks import FULL, SLIDING, AttentionMasks
from core.serving.engine.compiled_forward import LORA_DTYPE, CompiledForward, why_not_compiled
from core.serving.engine.cuda_graphs import CudaGraphs, CudaRecorder
from core.serving.engine.fast_layers import use_fast_layers
from core.serving.engine.forward import Forward
from core.serving.engine.grouped_attention import implementation, is_grouped, use_grouped
from core.serving.engine.kv_cache import KVCache, KVCacheProbe, KVCacheSpec
from core.serving.engine.loop import Engine
from core.serving.engine.model_check import KNOWN_TO_WORK, check_once, unserved
from core.serving.engine.start_record import StartRecord
from core.serving.engine.stream import make_decoder
from core.serving.engine.weights import (
    EXACT,
    FP16,
    NF4,
    PACKED,
    add_batched,
    choose_batched,
    choose_weights,
    convert_weights,
)
from core.serving.kernels import runtime
from core.serving.kv_budget import ALIGN, KVBudget, aligned, choose_kv_budget
from core.serving.lora.layers import shared_inputs
from core.serving.lora.slots import LoraSlots
from core.serving.settings import EngineSettings


@dataclass
class BuiltEngine:
    """An engine, and the choices made for it with their reasons."""

    engine: Engine
    choices: dict[str, Choice] = field(default_factory=dict)


def build_engine(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: EngineSettings,
    *,
    record: StartRecord | None = None,
    on_phase: Callable[[str], None] = lambda phase: None,
    **engine_arguments: Any,
) -> BuiltEngine:
    """Raises UserError when this family cannot be served row by row, with the reason.

    record: what earlier starts on this base have found out; without one all is measured and checked.
    """
    device, choices, record = model.device, {}, record or StartRecord()
    refuse_unknown_kinds(model)
    on_phase("probing what the model caches")
    specs, shared = probe_model(model, AttentionMasks(model.config, model.dtype, device, ALIGN))
    on_phase("choosing the form of the weights")
    choices["weights"] = choose_weights(model, settings.weights, device, record)
    form = choices["weights"].value
    if form == NF4 and not runtime.are_compiled():
        on_phase("compiling the engine for this processor, once")
        runtime.kernels().compile_all()
    if form != PACKED:
        on_phase(f"making the weights {form}")
        convert_weights(model, form, shared)
    choices["batched_products"] = choose_batched(model, form, device)
    if choices["batched_products"].value == "on":
        add_batched(model)
    if device.type == "cpu" and model.dtype == torch.float32 and is_grouped(model):
        use_fast_layers(model)
    ends = stop_ids(tokenizer, model.generation_config)
    if ends and min(ends) >= vocabulary(model.config):
        raise UserError(
            f"No answer of this base could end: its end tokens ({', '.join(map(str, sorted(ends)))}) are none that it "
            f"can say, of {vocabulary(model.config):,}.",
            "Correct eos_token_id in its generation_config.json.",
        )
    choices["context"] = choose_context(model.config, settings.max_length)
    length = int(choices["context"].value)
    if not is_grouped(model):
        reason = f"the family {model.config.model_type} takes no attention function, so rows are copied side by side"
        choices["attention"] = Choice("copied", reason)
    budget = choose_budget(specs, settings, length, device)
    choices["kv_tokens"] = Choice(str(budget.tokens), budget.reason)
    masks = AttentionMasks(model.config, model.dtype, device, aligned(length))
    cache = KVCache(specs, budget.tokens, settings.max_rows, device, grouped=is_grouped(model))
    why_not = why_not_compiled(model) if form == NF4 else f"the weights are {form}, not {NF4}"
    lora_dtype = model.dtype if why_not else LORA_DTYPE
    slots = LoraSlots(model, settings.slots, lora_dtype, device, shared, grouped=device.type == "cpu")
    choices["cuda_graphs"] = choose_graphs(settings.cuda_graphs, device)
    graphs = CudaGraphs(CudaRecorder()) if choices["cuda_graphs"].value == "on" else None
    choices["forward"] = Choice("operators", why_not) if why_not else Choice("compiled", "one call for all layers")
    compiled = None if why_not else CompiledForward(model, cache, masks, slots)
    forward = Forward(model, cache, masks, slots, graphs, compiled)
    rounds_inputs = model.dtype != torch.float32 or form not in (PACKED, EXACT, FP16, NF4)
    kind = f"{form}, second copy {choices['batched_products'].value}"
    choices["check"] = check_once(
        forward, length, kind, record, tolerance=0.2 if rounds_inputs else 1e-2, on_phase=on_phase
    )
    if graphs is not None and graphs.disabled_reason:
        choices["cuda_graphs"] = Choice("off", graphs.disabled_reason)
    record.keep()
    engine = Engine(
        forward,
        decode=make_decoder(tokenizer),
        end_tokens=ends,
        max_length=length,
        prefill_chunk=settings.prefill_chunk,
        max_waiting=settings.max_waiting,
        **engine_arguments,
    )
    return BuiltEngine(engine, choices)


def refuse_unknown_kinds(model: PreTrainedModel) -> None:
    """Refuse by configuration what no probe on a few tokens could tell apart."""
    config = model.config
    name = config.model_type
    kinds = set(getattr(config, "layer_types", None) or [FULL])
    if unknown := kinds - {FULL, SLIDING}:
        raise UserError(
            f"The family {name} has layers of the kind {', '.join(sorted(unknown))}, which the engine cannot batch.",
            f"Choose a base with full or sliding-window attention: {KNOWN_TO_WORK}.",
        )
    if config.is_encoder_decoder or getattr(config, "attention_chunk_size", None):
        raise unserved(model, "it is no plain causal decoder")
    if implementation(config) not in ("sdpa", "eager"):
        raise UserError(
            f"The attention implementation {config._attn_implementation} takes no mask per row.",
            "Load the base with sdpa or eager attention.",
        )


def choose_context(config: Any, wanted: int | None) -> Choice:
    """Tokens per conversation. Rotary tables that change with the longest row are kept in their first range."""
    length, reason = context_length(config), "what the base was made for"
    if length is None:
        if wanted is None:
            raise UserError(
                f"The config.json of the base ({config.model_type}) names no context length (max_position_embeddings).",
                "Say how many tokens a conversation may have, with max_length among the engine's settings.",
            )
        return Choice(str(wanted), "asked for; the base itself names no limit")
    ropes = getattr(config, "rope_parameters", None) or {}
    for rope in (ropes, *(nested for nested in ropes.values() if isinstance(nested, dict))):
        kind = rope.get("rope_type")
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        if kind == "longrope" and original and original < length:
            length, reason = int(original), "beyond it this base changes its position code for the whole batch"
    if wanted is not None:
        more = f"{reason}, which is less than the {wanted} asked for"
        length, reason = (wanted, "asked for") if wanted <= length else (length, more)
    return Choice(str(length), reason)


def probe_model(model: PreTrainedModel, masks: AttentionMasks) -> tuple[dict[int, KVCacheSpec], list[list[str]]]:
    """What each layer caches, and which linear layers share an input, found by one small forward.

    From then on the model attends by groups of rows, if every layer of it asks for them.
    """
    layers = model.config.num_hidden_layers
    use_grouped(model, True)
    if is_grouped(model):
        with suppress(UserError):
            probe, shared = _probe(model, masks, grouped=True)
            if probe.grouped_layers == layers:
                return probe.specs, shared
        use_grouped(model, False)
    probe, shared = _probe(model, masks, grouped=False)
    if len(probe.specs) != layers:
        raise unserved(model, f"only {len(probe.specs)} of its {layers} layers cache keys and values")
    return probe.specs, shared


def _probe(model: PreTrainedModel, masks: AttentionMasks, *, grouped: bool) -> tuple[KVCacheProbe, list[list[str]]]:
    probe = KVCacheProbe()
    forward = partial(
        model,
        input_ids=torch.arange(4, device=model.device)[None],
        position_ids=masks.positions[None, :4],
        attention_mask=masks.chunk(0, 4),
        past_key_values=probe,
        use_cache=True,
        **({"kv_cache": probe} if grouped else {}),
    )
    try:
        with torch.inference_mode():
            return probe, shared_inputs(model, forward)
    except (AttributeError, TypeError, ValueError, KeyError, NotImplementedError) as error:
        raise unserved(model, f"it does not take a cache per row ({error})") from error


def choose_budget(
    specs: dict[int, KVCacheSpec], settings: EngineSettings, length: int, device: torch.device
) -> KVBudget:
    """How many tokens the cache has room for. Raises UserError when not even one sequence fits."""
    on_cpu = device.type == "cpu"
    free = psutil.virtual_memory().available if on_cpu else torch.cuda.mem_get_info(device)[0]
    per_token = sum(spec.bytes_per_token for spec in specs.values())
    return choose_kv_budget(settings, bytes_per_token=per_token, context=length, free=free, on_cpu=on_cpu)


def choose_graphs(wanted: bool, device: torch.device) -> Choice:
    """Whether decode steps are recorded. The default is off, as it has not been tried on a GPU yet."""
    if device.type != "cuda":
        return Choice("off", "they are for GPUs")
    return Choice("on", "asked for") if wanted else Choice("off", "not asked for (--cuda-graphs)")
