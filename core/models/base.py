"""The base model: which one is meant, and the only place where it is loaded in 4 bit."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.bases import to_shareable_id
from adapters.common.errors import UserError, without_paths
from adapters.common.files import expanded
from core.models.base_check import check_loaded, check_tokenizer, misfit

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

BUILTIN = "builtin"
BUILTIN_ID = "guanaco-builtin"  # what adapters trained on the built-in base carry as base_model_name_or_path
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?$")
SAMPLE = 1 << 20  # bytes read per place for a fingerprint


@dataclass(frozen=True)
class BaseSource:
    """A base model that was named, before anything of it is loaded.

    id: what adapters record as their base: the Hub id, or the folder's path for a local one, or BUILTIN_ID.
    location: what `from_pretrained` gets.
    local: the location is a folder on this machine.
    """

    id: str
    location: str
    local: bool

    @property
    def name(self) -> str:
        """What the base is called wherever it is shown: its id, but of a folder the last part only."""
        return to_shareable_id(self.id)


def name_of(model_name_or_path: str) -> str:
    """`resolve(model_name_or_path).name`, also for a folder that is not there."""
    if model_name_or_path in (BUILTIN, BUILTIN_ID):
        return BUILTIN_ID
    is_path = looks_like_path(model_name_or_path)
    return to_shareable_id(str(expanded(model_name_or_path).resolve())) if is_path else model_name_or_path


def looks_like_path(model_name_or_path: str) -> bool:
    return model_name_or_path.startswith(("/", "./", "../", "~"))


def resolve(model_name_or_path: str) -> BaseSource:
    """Turn `builtin`, a folder or a Hub id into a BaseSource, without loading anything.

    A folder must be written as a path (with a slash at its start or `./`); a Hub id is recognised by its pattern, and
    refused where a folder is called so. Raises UserError for anything else.
    """
    if model_name_or_path in (BUILTIN, BUILTIN_ID):
        from core.models.builtin import BASE_DIR

        return BaseSource(BUILTIN_ID, str(BASE_DIR), local=True)
    folder = expanded(model_name_or_path)
    if looks_like_path(model_name_or_path):
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{model_name_or_path} is not a model folder: it has no config.json.",
                "Give a folder in the transformers format, a Hub id such as Qwen/Qwen2.5-1.5B-Instruct, or 'builtin'.",
            )
        if not any(folder.glob("*.safetensors")):
            raise UserError(
                f"The model folder {model_name_or_path} has no .safetensors file.",
                "Only safetensors are loaded. Convert the weights first with save_pretrained().",
            )
        folder = folder.resolve()
        return BaseSource(str(folder), str(folder), local=True)
    if not HUB_ID.match(model_name_or_path):
        raise UserError(
            f"{model_name_or_path!r} is neither 'builtin', nor a folder, nor a Hub id.",
            "Write a Hub id as owner/name, and a folder as a path that begins with / or ./.",
        )
    if folder.is_dir():  # transformers would load it in the place of what is on the Hub
        raise UserError(
            f"{model_name_or_path} is a Hub id, and also a folder where the studio was started.",
            f"Write ./{model_name_or_path} for the folder, or start the studio elsewhere for what is on the Hub.",
        )
    return BaseSource(model_name_or_path, model_name_or_path, local=False)


def fingerprint(source: BaseSource) -> str | None:
    """A short hash by which an adapter recognises the very base that it was trained on, or None where it can't be had.

    For a folder: sha256 over the size and three samples of 1 MiB (start, middle, end) of every safetensors file, which
    tells fine-tunes of one architecture apart without reading gigabytes. A Hub base is identified by its id alone,
    since its revisions are compatible as far as an adapter can tell.
    """
    if not source.local:
        return None
    digest = hashlib.sha256()
    for path in sorted(Path(source.location).glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        with path.open("rb") as file:
            for offset in (0, size // 2, max(0, size - SAMPLE)):
                file.seek(offset)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()[:16]


def load_tokenizer(source: BaseSource) -> PreTrainedTokenizerBase:
    """The base's own tokenizer, with a pad token. Raises UserError when it can't be had or does not fit the base."""
    from transformers import AutoTokenizer

    config = read_config(source)
    with _translated(source):
        tokenizer = AutoTokenizer.from_pretrained(source.location, trust_remote_code=False)
    check_tokenizer(source.name, tokenizer, config)
    return tokenizer


def read_config(source: BaseSource) -> PretrainedConfig:
    """The base's configuration. Raises UserError when it can't be had."""
    from transformers import AutoConfig

    with _translated(source):
        return AutoConfig.from_pretrained(source.location, trust_remote_code=False)


def read_generation_config(source: BaseSource) -> GenerationConfig | None:
    """What the base's files say of how it answers; None where they say nothing."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(source.location)
    except (OSError, ValueError):
        return None


def outline(source: BaseSource) -> PreTrainedModel:
    """The base put together by its configuration, without weights. Raises UserError when that can't be had."""
    import torch
    from transformers import AutoModelForCausalLM

    config = read_config(source)
    with _translated(source), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def load_model(
    source: BaseSource,
    *,
    load_in_4bit: bool = True,
    use_bnb_nested_quant: bool = True,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> PreTrainedModel:
    """Load the base frozen and in eval mode, its linear layers as NF4 (double-quantised unless told otherwise).

    Always a copy of this process's own; shared_base.open_base maps one that all processes share. `progress` is told
    each phase in words. Raises UserError when the weights can't be had, are not safetensors, or the family can't run
    on this device.
    """
    from transformers import AutoModelForCausalLM

    from core.models.device import choose_device, choose_dtype
    from core.models.download import fetch_weights
    from core.models.loading_progress import report_percent

    say = progress or (lambda phase: None)
    device = device or choose_device().value
    say("reading the configuration")
    config = read_config(source)
    dtype = choose_dtype(device, config.model_type).value
    arguments: dict[str, Any] = {
        "config": config,
        "dtype": dtype,
        "device_map": {"": device},
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if load_in_4bit:
        arguments |= _quantization(config, dtype, use_bnb_nested_quant)
    if not source.local and config._commit_hash:
        arguments["revision"] = config._commit_hash  # weights and configuration of one revision, even if main moves on
    if not source.local:
        with _translated(source):
            fetch_weights(source.location, config._commit_hash, say)
    phase = "loading and quantising the weights" if load_in_4bit else "loading the weights"
    with _translated(source), report_percent(phase, say):
        try:
            model, found = AutoModelForCausalLM.from_pretrained(
                source.location, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
            )
        except NotImplementedError as error:  # from comparing what is to be tied: one of the two has another size
            raise misfit(source.name, "embeddings and head are one matrix by the configuration") from error
        mismatched = {key: shapes for key, *shapes in found["mismatched_keys"]}
        check_loaded(source.name, found["missing_keys"], mismatched)
    _settle_dtype(model, dtype)
    return frozen(model)


def frozen(model: PreTrainedModel) -> PreTrainedModel:
    """`model` as everything here expects a base: in eval mode, not trained itself, its 4-bit weights in one layout."""
    import bitsandbytes as bnb

    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            # else bitsandbytes repacks (so copies) the weights in eval mode on CPUs with AVX512-BF16
            module.support_avx512bf16_for_cpu = False
    return model.eval().requires_grad_(False)


def _quantization(config: PretrainedConfig, dtype: str, nested: bool) -> dict[str, Any]:
    """What `from_pretrained` is to be told, so that the base comes as NF4.

    A checkpoint that is already bitsandbytes-4-bit is taken as it is, but for the compute dtype. transformers prefers
    such a checkpoint's own settings to given ones, so they are corrected in `config` itself.
    """
    from transformers import BitsAndBytesConfig

    own = getattr(config, "quantization_config", None)
    if own is None:
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=nested,
            bnb_4bit_compute_dtype=dtype,
        )
        return {"quantization_config": settings}
    if not own.get("load_in_4bit"):
        raise UserError(
            f"This checkpoint is already quantised ({own.get('quant_method', 'unknown method')}), "
            "and not as bitsandbytes 4-bit.",
            "Choose the unquantised checkpoint of the same model; it is quantised while loading.",
        )
    config.quantization_config = own | {"bnb_4bit_compute_dtype": dtype}
    return {}


def _settle_dtype(model: PreTrainedModel, dtype: str) -> None:
    """Bring what a checkpoint in 4 bit holds in another dtype, and unpacks into it, to the one of this device.

    transformers casts only what it quantises itself. What is kept in a higher precision on purpose stays so.
    """
    import torch
    from bitsandbytes.nn import Params4bit

    wanted, found = getattr(torch, dtype), model.dtype
    for parameter in model.parameters():
        if isinstance(parameter, Params4bit):
            parameter.quant_state.dtype = wanted
        elif parameter.dtype == found:
            parameter.data = parameter.data.to(wanted)


class _translated:
    """Turns what the Hub and transformers raise while loading `source` into a UserError."""

    def __init__(self, source: BaseSource) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError

        if isinstance(error, (OSError, ValueError, SafetensorError, StrictDataclassError)):
            raise load_error(self.source, error) from error


def load_error(source: BaseSource, error: Exception) -> UserError:
    """Say in plain words why `source` could not be loaded. Gated is checked first: it is a kind of not found."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        StrictDataclassError,
    )

    page = f"{os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'}/{source.id}"
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(raised, GatedRepoError) for raised in causes):
        return UserError(
            f"The base {source.name} is gated: its authors want to be asked first.",
            f"Ask for access at {page}. When it is given, set HF_TOKEN to a token of that account, made at "
            "https://huggingface.co/settings/tokens (a fine-grained one with the permission to read gated "
            "repositories), and start the studio again; --base builtin works meanwhile.",
        )
    if any(isinstance(raised, RepositoryNotFoundError) for raised in causes):
        return UserError(
            f"The Hub has no model {source.name}, or it is private and the token may not read it.",
            "Check the spelling, or set HF_TOKEN to a token that may read it.",
        )
    if any(isinstance(raised, LocalEntryNotFoundError) for raised in causes):
        return UserError(
            f"The base {source.name} is not in the local cache, and the Hub could not be reached.",
            "Check the network, unset HF_HUB_OFFLINE, or use --base builtin, which needs neither.",
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = " ".join(map(str.strip, lines)) if isinstance(error, StrictDataclassError) else lines[0]
    return UserError(
        f"The base {source.name} could not be loaded: {without_location(source, said)}",
        "Check that it is a complete text-generation model in safetensors.",
    )


def without_location(source: BaseSource, text: str) -> str:
    """A library's words about `source`, without the folders in which it, or a file of it, lies."""
    return without_paths(text.replace(source.location, source.name) if source.local else text)
