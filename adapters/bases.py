"""Whether two names mean the same base: the one rule, for everything that compares them. docs/hub.md tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from adapters.record import BUILTIN_ID, AdapterRecord, SameBase, now

# Copies of the very same weights. bitsandbytes rounds each weight by itself, as the studio does with every base that it
# loads, and changes nothing else. GPTQ, AWQ, FP8, GGUF and MLX's "-4bit" are not listed: they move what rounding loses
# into other weights, rescale channels or round in other ways, and an adapter made there has learnt to make up for that.
_QUANTISED_SUFFIXES = ("-unsloth-bnb-4bit", "-bnb-4bit", "-bnb-8bit")
# Unsloth publishes the models of these owners again as they are, under its own name. Anybody else's model of the same
# name may be a fine-tune, and Microsoft's are published again with other layers.
_MIRROR = "unsloth"
_MIRRORED = frozenset({"deepseek-ai", "google", "huggingfacetb", "ibm-granite", "meta-llama", "mistralai", "qwen"})
# Words that say what a folder is for, and not which model is in it.
_GENERIC_WORDS = frozenset(
    {
        "base", "best", "checkpoint", "checkpoints", "default", "final", "finetuned", "hf", "last", "latest", "llm",
        "main", "merged", "model", "models", "my", "new", "out", "output", "outputs", "pretrained", "run", "snapshot",
        "snapshots", "temp", "test", "tmp", "trained", "weights",
    }
)  # fmt: skip
_CACHED = re.compile(r"(?:.*[/\\])?models--([^/\\]+)(?:[/\\]snapshots(?:[/\\][^/\\]+)?)?")
_ADDRESS = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)(?:[/?#].*)?")
_HASH = re.compile(r"[0-9a-f]{7,64}")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Origin:
    """What is known of the base that an adapter was made on. declared: by a person, as a copy of another base."""

    base_model: str
    fingerprint: str | None = None
    declared: SameBase | None = None

    @classmethod
    def of(cls, record: AdapterRecord) -> Origin:
        return cls(record.base_model, record.base_fingerprint, record.same_base)


def is_on_hub(repo_id: str) -> bool:
    """Whether it has the form of an id on the Hub; nobody is asked."""
    return HUB_ID.fullmatch(repo_id) is not None


def to_shareable_id(base_id: str) -> str:
    """A base's id as it may be shared: of a path on somebody's disk only what names the model.

    That is owner/name for a folder of the Hub's cache, else the path's last part. An id on the Hub is without revision.
    """
    base_id = base_id.strip().rstrip("/\\")
    if cached := _CACHED.fullmatch(base_id):
        return cached[1].replace("--", "/", 1)
    if address := _ADDRESS.fullmatch(base_id):
        return address[1]
    if base_id.startswith(("/", ".", "~")) or "\\" in base_id or base_id.count("/") > 1:
        return re.split(r"[/\\]+", base_id)[-1]
    return base_id.partition("@")[0]


def is_same_base(base_id: str, other: str) -> bool:
    """Whether both names mean the same base's weights, as far as names can tell.

    Letter case, slashes at the end, a revision behind an @ and bitsandbytes' suffixes do not count. Owners on the Hub
    must be the same, unless one is Unsloth and the other somebody whose models it publishes again. Of a folder only the
    name is known: it must be the model's, and one that names a model at all.
    """
    if (whole := base_id.strip().rstrip("/\\")) and whole == other.strip().rstrip("/\\"):
        return True
    (owner, name), (other_owner, other_name) = _split_id(base_id), _split_id(other)
    if not name or name != other_name:
        return False
    if owner and other_owner:
        return owner == other_owner or (_MIRROR in (owner, other_owner) and bool({owner, other_owner} & _MIRRORED))
    if name == BUILTIN_ID:  # it is on the Hub under nobody's name
        return not owner and not other_owner
    return not all(_is_generic(word) for word in re.split(r"[-_. ]+", name))


def find_base_mismatch(origin: Origin, base_id: str, fingerprint: str | None = None) -> str | None:
    """Why an adapter of this origin was not made on the base `base_id`; None when it was, or a person has said so.

    Where both fingerprints are known, they decide, and not the names. No path is told.
    """
    if origin.declared is not None and _still_holds(origin.declared, origin.base_model, base_id, fingerprint):
        return None
    same = is_same_base(origin.base_model, base_id)
    made_for, here = to_shareable_id(origin.base_model), to_shareable_id(base_id)
    if origin.fingerprint and fingerprint:
        if origin.fingerprint == fingerprint:
            return None
        if same:
            return f"It was trained on other weights of {here} than those here (the fingerprints differ)."
    elif same:
        return None
    if made_for == here:
        return f"It was trained on a folder named {made_for}, which does not tell whether that is the base here."
    return f"It was trained on {made_for}; the base here is {here}."


def with_same_base(record: AdapterRecord, base_id: str, fingerprint: str | None = None) -> AdapterRecord:
    """The record with a person's word, said now, that its base is a copy of `base_id`; as it is where that is known."""
    if find_base_mismatch(Origin.of(record), base_id, fingerprint) is None:
        return record
    declared = SameBase(base_id, record.base_model, now(), fingerprint, record.base_fingerprint)
    return replace(record, same_base=declared)


def _still_holds(declared: SameBase, made_for: str, base_id: str, fingerprint: str | None) -> bool:
    """Whether a person's word is about these two: the weights of either may have been replaced since."""
    if declared.made_for != made_for:
        return False
    if declared.fingerprint and fingerprint:
        return declared.fingerprint == fingerprint
    return is_same_base(declared.base, base_id)


def _split_id(base_id: str) -> tuple[str, str]:
    """(owner, name), both in small letters and without what does not count; the owner is "" where it is not known."""
    owner, _, name = to_shareable_id(base_id).casefold().rpartition("/")
    return owner, next((name.removesuffix(suffix) for suffix in _QUANTISED_SUFFIXES if name.endswith(suffix)), name)


def _is_generic(word: str) -> bool:
    return word in _GENERIC_WORDS or word.isdigit() or not word or _HASH.fullmatch(word) is not None
