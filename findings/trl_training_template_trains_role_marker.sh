#!/usr/bin/env bash
# TRL 1.16.0 ships training versions of chat templates, whose generation marks say what assistant_only_loss trains. For
# four families (deepseekv3, deepseek_r1_distill, gptoss, muse_glimmer) the marked tokens begin with the assistant's role marker,
# which is the end of the prompt at chat time and never has to be said by the model. For llama3 they begin with the answer.
# Seen: deepseekv3 trains '<｜Assistant｜>Hello!<｜end▁of▁sentence｜>', llama3 trains 'Hello!<|eot_id|>'.
# It matters to whoever compares masks: the loss of these families is low from the start, since one token is known.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 trl==1.16.0 jinja2
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import distribution, version

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
MARKERS = {  # what the trained tokens begin with, before the answer
    "llama3": "",
    "deepseekv3": "<｜Assistant｜>",
    "deepseek_r1_distill": "<｜Assistant｜>",
    "gptoss": "<|start|>assistant",
    "muse_glimmer": "<|start|>assistant",
}


def template(name: str) -> str:
    return distribution("trl").locate_file(f"trl/chat_templates/{name}.jinja").read_text(encoding="utf-8")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, so that every character of a template can be told trained or not."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={each: index for index, each in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


tokenizer = byte_tokenizer()
changed = False
for family, marker in MARKERS.items():
    tokenizer.chat_template = template(family)
    prompt = tokenizer.apply_chat_template(TURNS[:1], tokenize=False, add_generation_prompt=True)
    tokenizer.chat_template = template(f"{family}_training")
    marked = tokenizer.apply_chat_template(TURNS, return_dict=True, return_assistant_tokens_mask=True)
    pairs = zip(marked["input_ids"], marked["assistant_masks"], strict=True)
    trained = tokenizer.decode([token for token, is_trained in pairs if is_trained])
    print(f"trl {version('trl')} {family}: the prompt ends with {prompt[-24:]!r}; trained is {trained!r}")
    begins = trained[: trained.index("Hello!")]
    changed |= not begins.startswith(marker) if marker else begins != ""
    changed |= marker not in prompt
sys.exit(changed)
PYTHON
"$folder/env/bin/python" "$folder/show.py"
