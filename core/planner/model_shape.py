"""What a base is made of, read from its config.json alone: sizes of its layers, and what is peculiar to its family."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from adapters.common.errors import UserError
from adapters.common.files import expanded
from core.models.base import BUILTIN, BUILTIN_ID, load_error, name_of, resolve
from core.models.target_modules import HEAD, LINEAR, OTHER, UNSERVED, chosen

SDPA, EAGER = "sdpa", "eager"
LAYERS = "model.layers."


@dataclass(frozen=True)
class Family:
    """What config.json does not say about an architecture; transformers' modeling files are the source.

    norms: RMS norms per layer that run over the hidden size. qk_norm: two more over each head of q and k.
    fused: q, k, v are one linear layer, gate and up another. scaled_norm: a norm multiplies by (1 + weight) in fp32.
    rescales_scores: what the head gives is no score yet, so that the trainer's own loss is not used.
    masks: kinds of attention mask, two where windowed and full layers alternate.
    biases: linear layers that have a bias whatever the config says. defaults: values that config.json may leave out.
    """

    norms: int = 2
    qk_norm: bool = False
    fused: bool = False
    scaled_norm: bool = False
    attention: str = SDPA
    masks: int = 1
    rescales_scores: bool = False
    biases: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Any], ...] = (("tie_word_embeddings", False),)


GEMMA_DEFAULTS = (("tie_word_embeddings", True), ("head_dim", 256))
FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(biases=("q_proj", "k_proj", "v_proj")),
    "qwen3": Family(qk_norm=True, defaults=(("tie_word_embeddings", False), ("head_dim", 128))),
    "gemma": Family(scaled_norm=True, defaults=GEMMA_DEFAULTS),
    # Soft-capped attention runs in the eager implementation only, which keeps the whole score matrix.
    "gemma2": Family(
        norms=4, scaled_norm=True, attention=EAGER, masks=2, rescales_scores=True, defaults=GEMMA_DEFAULTS
    ),
    "gemma3_text": Family(norms=4, qk_norm=True, scaled_norm=True, masks=2, defaults=GEMMA_DEFAULTS),
    "phi3": Family(fused=True),
    "granite": Family(rescales_scores=True),
    "smollm3": Family(defaults=(("tie_word_embeddings", True),)),
}
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size")
# All of these stand in every family's config.json, since they have no default that two families share.
NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True)
class ModelShape:
    """Sizes in elements. `window`: tokens that a sliding-window layer sees, None where every layer sees all.

    context: most tokens of one conversation; None where the config does not say.
    """

    name: str
    model_type: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    window: int | None = None
    context: int | None = None
    biases: tuple[str, ...] = ()
    quantised: bool = False
    """The checkpoint is already bitsandbytes-4-bit."""

    @property
    def family(self) -> Family:
        return FAMILIES[self.model_type]

    @property
    def queries(self) -> int:
        """Width of all query heads together; Qwen3 and Gemma choose it apart from the hidden size."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together, and of all value heads: less than `queries` in grouped attention."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """One layer's linear layers: path within the layer -> (out_features, in_features)."""
        hidden, queries, keys, wide = self.hidden, self.queries, self.keys, self.intermediate
        if self.family.fused:
            return {
                "self_attn.qkv_proj": (queries + 2 * keys, hidden),
                "self_attn.o_proj": (hidden, queries),
                "mlp.gate_up_proj": (2 * wide, hidden),
                "mlp.down_proj": (hidden, wide),
            }
        return {
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, queries),
            "mlp.gate_proj": (wide, hidden),
            "mlp.up_proj": (wide, hidden),
            "mlp.down_proj": (hidden, wide),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of all layers' linear layers: what is quantised. The head is not among them."""
        return self.layers * sum(out * into for out, into in self.linears.values())

    @property
    def embedding_parameters(self) -> int:
        """The token embeddings, and the head unless it is the same matrix: what stays in 16 bit under QLoRA."""
        return (1 if self.tied else 2) * self.vocab * self.hidden

    @property
    def other_parameters(self) -> int:
        """Norms and biases."""
        norms = self.layers * (self.family.norms * self.hidden + (2 * self.head_dim if self.family.qk_norm else 0))
        sizes = {path.rpartition(".")[2]: out for path, (out, _) in self.linears.items()}
        return norms + self.hidden + self.layers * sum(sizes[name] for name in self.biases)

    @property
    def parameters(self) -> int:
        return self.linear_parameters + self.embedding_parameters + self.other_parameters

    @property
    def modules(self) -> dict[str, str]:
        """Path -> kind (see core.models.target_modules) of all that a name or pattern may match."""
        found = {"model": OTHER, "model.layers": OTHER, "model.norm": OTHER}
        found |= {"model.embed_tokens": UNSERVED, "lm_head": HEAD}
        norms = ["input_layernorm", "post_attention_layernorm"]
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] if self.family.norms > 2 else []
        norms += ["self_attn.q_norm", "self_attn.k_norm"] if self.family.qk_norm else []
        for number in range(self.layers):
            layer = f"{LAYERS}{number}"
            found |= dict.fromkeys((layer, *(f"{layer}.{name}" for name in ("self_attn", "mlp", *norms))), OTHER)
            found |= {f"{layer}.{path}": LINEAR for path in self.linears}
        return found

    def chosen(self, lora_target_modules: str | list[str]) -> dict[str, str]:
        """Path -> kind of all modules that get an adapter. Raises UserError as target_modules.chosen does."""
        given = lora_target_modules
        return _chosen(self, given if isinstance(given, str) else tuple(given))

    def targets(self, lora_target_modules: str | list[str]) -> dict[str, tuple[int, int]]:
        """The linear layers of one layer that get an adapter. Raises UserError as target_modules.chosen does."""
        found = self.chosen(lora_target_modules)
        within = {path.removeprefix(LAYERS).partition(".")[2] for path in found if path.startswith(LAYERS)}
        return {path: size for path, size in self.linears.items() if path in within}


@lru_cache(maxsize=64)
def _chosen(shape: ModelShape, wanted: str | tuple[str, ...]) -> dict[str, str]:
    """Looking for a recipe that fits asks for the same again and again."""
    return chosen(shape.modules, wanted, shape.name)


def read_shape(base: str) -> ModelShape:
    """The shape of `builtin`, a Hub id, a folder, or a config.json file. Only config.json is read, or fetched.

    Raises UserError when it can't be had, or its architecture is none that this planner counts right.
    """
    path = expanded(base)
    if base in (BUILTIN, BUILTIN_ID):
        source = resolve(base)
        return shape_of(_parsed(Path(source.location) / "config.json"), BUILTIN_ID)
    if path.suffix == ".json":
        return shape_of(_parsed(path), path.parent.name or base)
    if base.startswith(("/", "./", "../", "~")):
        return shape_of(_parsed(path / "config.json"), name_of(base))
    return shape_of(_parsed(_fetched(base)), base)


def shape_of(config: dict[str, Any], name: str) -> ModelShape:
    """Raises UserError for mixtures of experts and for families that this planner does not know."""
    model_type = str(config.get("model_type", "unknown"))
    if any(config.get(key) for key in EXPERTS):
        raise UserError(
            f"{name} is a mixture of experts ({model_type}).",
            "Its experts are not linear layers in transformers, so that neither 4-bit loading nor LoRA on all-linear "
            "reaches them, and it would not fit as planned. Choose a dense base.",
        )
    if model_type not in FAMILIES:
        raise UserError(
            f"The planner does not know the architecture {model_type!r} of {name}.",
            f"It has been measured for {', '.join(FAMILIES)}.",
        )
    if missing := [key for key in NEEDED if not _is_count(config.get(key))]:
        raise UserError(
            f"The config of {name} lacks {', '.join(missing)}, or has no whole number above 0 for it.",
            "Give the config.json of a language model as its makers published it.",
        )
    family = FAMILIES[model_type]
    values = dict(family.defaults) | {key: value for key, value in config.items() if value is not None}
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    heads_of = {"num_key_value_heads": heads, "head_dim": hidden // heads} | values
    if wrong := [key for key in ("num_key_value_heads", "head_dim") if not _is_count(heads_of[key])]:
        raise UserError(
            f"The config of {name} has no whole number above 0 for {', '.join(wrong)}.",
            "Give the config.json of a language model as its makers published it.",
        )
    own = values.get("quantization_config") or {}
    if own and not (isinstance(own, dict) and own.get("load_in_4bit")):
        method = own.get("quant_method", "unknown method") if isinstance(own, dict) else own
        raise UserError(
            f"The weights of {name} are quantised already ({method}), and not as bitsandbytes 4-bit.",
            "Choose the same model without quantisation: it is quantised here while it is loaded.",
        )
    return ModelShape(
        name=name,
        model_type=model_type,
        hidden=hidden,
        intermediate=values["intermediate_size"],
        layers=values["num_hidden_layers"],
        heads=heads,
        kv_heads=heads_of["num_key_value_heads"],
        head_dim=heads_of["head_dim"],
        vocab=values["vocab_size"],
        tied=bool(values["tie_word_embeddings"]),
        window=_window(values),
        context=context if _is_count(context := values.get("max_position_embeddings")) else None,
        biases=_biases(family, values),
        quantised=bool(own),
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _window(values: dict[str, Any]) -> int | None:
    # Qwen's configs name a window that is switched off.
    if values.get("use_sliding_window") is False:
        return None
    window = values.get("sliding_window")
    return window if _is_count(window) else None


def _biases(family: Family, values: dict[str, Any]) -> tuple[str, ...]:
    names = list(family.biases)
    if values.get("attention_bias"):
        names += [name for name in ("q_proj", "k_proj", "v_proj", "o_proj") if name not in names]
    if values.get("mlp_bias"):
        names += ["gate_proj", "up_proj", "down_proj"]
    return tuple(names)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}.",
            "Give 'builtin', a Hub id, a model folder (a path that begins with / or ./), or a config.json.",
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.", "Give the config.json of a model.") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no configuration.", "Give the config.json of a model.")
    return config


def _fetched(hub_id: str) -> Path:
    from huggingface_hub import hf_hub_download

    source = resolve(hub_id)
    try:
        return Path(hf_hub_download(source.location, "config.json"))
    except (OSError, ValueError) as error:
        raise load_error(source, error) from error
