"""Chat templates in the manner of the well-known families, each with a small byte tokenizer that has its special
tokens. Written for these tests after the prompt formats that the families document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Llama 2: the system prompt goes into the first question, everything is stripped, no generation prompt.
LLAMA2 = (
    "{% set ns = namespace(system='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.system = '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' %}"
    "{% elif m.role == 'user' %}{{ '<s>[INST] ' + (ns.system + m.content).strip() + ' [/INST]' }}"
    "{% set ns.system = '' %}"
    "{% else %}{{ ' ' + m.content.strip() + ' </s>' }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' "
    "+ m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
# Mistral: the system prompt goes into the LAST question, so that no rendering is the beginning of a longer one.
MISTRAL = (
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% set turns = messages[1:] if system else messages %}{{ '<s>' }}{% for m in turns %}"
    "{% if m.role == 'user' %}{% if system and loop.index0 >= turns | length - 2 %}"
    "{{ '[INST] ' + system + '\n\n' + m.content + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"
)
# Gemma: no system role, the assistant is called model, turns must alternate.
GEMMA = (
    "{{ '<bos>' }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim "
    "+ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"
)
# Qwen 3: the last answer gets an empty think block, the ones before do not.
QWEN3 = (
    "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}"
    "{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' + m.content.split('</think>')[-1] + '<|im_end|>\n' }}"
    "{% else %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content.split('</think>')[-1] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# name -> (template, special tokens, end of turn as it stands in the text)
FAMILIES: dict[str, tuple[str, list[str], str]] = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"], "<|im_end|>"),
    "llama2": (LLAMA2, ["<s>", "</s>"], " </s>"),
    "llama3": (
        LLAMA3,
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
    ),
    "mistral": (MISTRAL, ["<s>", "</s>", "[INST]", "[/INST]"], "</s>"),
    "gemma": (GEMMA, ["<bos>", "<start_of_turn>", "<end_of_turn>"], "<end_of_turn>"),
    "phi": (PHI, ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"], "<|end|>"),
    "zephyr": (ZEPHYR, ["<|system|>", "<|user|>", "<|assistant|>", "</s>"], "</s>"),
    "qwen3": (QWEN3, ["<|im_start|>", "<|im_end|>"], "<|im_end|>"),
}


@cache
def tokenizer_for(family: str, merges: bool = False) -> PreTrainedTokenizerFast:
    """One token per byte; with `merges` also tokens that reach over a line break and a space into the next word."""
    template, specials, end = FAMILIES[family]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    pairs = [("Ċ", "Ċ"), ("Ġ", "a"), ("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ċ", "a")] if merges else []
    for left, right in pairs:
        vocabulary.setdefault(left + right, len(vocabulary))
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    eos = "<|endoftext|>" if family == "phi" else end.strip()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token=eos)
    tokenizer.add_special_tokens({"additional_special_tokens": [token for token in specials if token != eos]})
    tokenizer.chat_template = template
    return tokenizer


@cache
def sentencepiece_for(family: str, prepend: str) -> PreTrainedTokenizerFast:
    """One token per letter or byte, and some that begin with the space before a word, in the manner of Llama 2.

    prepend: "first" or "always" puts a space before the text, or before every piece of it between special tokens.
    """
    template, specials, end = FAMILIES[family]
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = {
        token: index for index, token in enumerate([*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters])
    }
    pairs = [("▁", "I"), ("▁", "a"), ("t", "h"), ("th", "e"), ("▁", "the"), (":", "▁")]
    for left, right in pairs:
        vocabulary.setdefault(left + right, len(vocabulary))
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    eos = "<|endoftext|>" if family == "phi" else end.strip()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token=eos)
    tokenizer.add_special_tokens({"additional_special_tokens": [token for token in specials if token != eos]})
    tokenizer.chat_template = template
    return tokenizer


@contextmanager
def changed(tokenizer: Any, template: str) -> Iterator[None]:
    original, tokenizer.chat_template = tokenizer.chat_template, template
    try:
        yield
    finally:
        tokenizer.chat_template = original
