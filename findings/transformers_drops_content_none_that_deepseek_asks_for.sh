#!/usr/bin/env bash
# transformers 5.23.0: apply_chat_template leaves out the keys of a message whose value is None before the template sees
# it. DeepSeek R1's templates, as TRL 1.16.0 ships them, write an assistant's tool calls only where `content` is none.
# Seen: OpenAI's own shape of a call, content None beside tool_calls, raises UndefinedError; with content "" the call
# is not in the text at all, and nothing is said.
# It matters to whoever trains on tool calls: with "" in place of None, as many data sets have it, the calls are lost in silence.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.23.0 jinja2
"$folder/env/bin/pip" install --quiet --no-deps trl==1.16.0
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import distribution, version

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

CALL = {"type": "function", "function": {"name": "weather_of", "arguments": '{"town": "Havana"}'}}


def rendered(content: str | None) -> str:
    talk = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": content, "tool_calls": [CALL]},
        {"role": "tool", "content": "Sunny."},
        {"role": "assistant", "content": "It is sunny."},
    ]
    try:
        return tokenizer.apply_chat_template(talk, tokenize=False)
    except Exception as error:
        return type(error).__name__


tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
tokenizer.chat_template = (
    distribution("trl").locate_file("trl/chat_templates/deepseek_r1_distill.jinja").read_text(encoding="utf-8")
)
none, empty = rendered(None), rendered("")
print(f"transformers {version('transformers')}, template of trl {version('trl')}")
print(f"content None: {none}")
print(f"content '':   {empty!r}")
sys.exit(not (none == "UndefinedError" and "weather_of" not in empty and "It is sunny." in empty))
PYTHON
"$folder/env/bin/python" "$folder/show.py"
