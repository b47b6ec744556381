"""Text as it streams: whole characters, no lost spaces, and never a part of a stop string."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

from core.serving.engine.stream import TextStream
from tests.core.serving import tiny

TEXTS = [
    "Hello there,  two spaces.\n\n  and a list:\n- one\n- two",
    "Emoji: 👩‍👩‍👧 🇨🇺 🦙, Chinese: 你好，世界。 Accents: naïve café",
    "日本語 ‏العربية‏ русский",
]
Decode = Callable[[Sequence[int]], str]


def byte_level() -> Tokenizer:
    backend: Tokenizer = tiny.tokenizer().backend_tokenizer
    return backend


def sentencepiece_like() -> Tokenizer:
    """As Llama-2's: a mark for spaces, unknown characters as bytes, and a leading space that decoding strips."""
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=["<unk>", "</s>", *alphabet], initial_alphabet=["▁"])
    tokenizer.train_from_iterator(["the cat sat on a mat and there was one list of two names"] * 3, trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


TOKENIZERS = {"byte-level": byte_level(), "sentencepiece": sentencepiece_like()}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_make_the_text_and_none_has_half_a_character(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    stream = TextStream(lambda ids: tokenizer.decode(list(ids), skip_special_tokens=False))
    pieces = [stream.add(token) for token in ids]
    assert all("�" not in piece for piece in pieces)
    assert "".join(pieces) + stream.finish() == tokenizer.decode(ids, skip_special_tokens=False)
    assert len([piece for piece in pieces if piece]) > len(text) / 4  # it does stream


def test_bytes_that_never_become_a_character_come_out_at_the_end() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer.encode("ab🦙").ids[:-1]
    stream = TextStream(lambda ids: tokenizer.decode(list(ids), skip_special_tokens=False))
    assert [stream.add(token) for token in ids] == ["a", "b", "", "", ""]
    assert stream.finish() == "�"


def feed(text: str, stops: Sequence[str], chance: random.Random) -> tuple[list[str], TextStream]:
    """Stream `text` in random steps, one "token" each."""
    parts: list[str] = []
    while text:
        length = chance.randint(1, 3)
        parts.append(text[:length])
        text = text[length:]
    stream = TextStream(lambda ids: "".join(parts[i] for i in ids), stops)
    out = []
    for i in range(len(parts)):
        out.append(stream.add(i))
        if stream.stopped:
            break
    return out, stream


@given(
    text=st.text(alphabet="ab#", max_size=30),
    stops=st.lists(st.text(alphabet="ab#", min_size=1, max_size=4), max_size=3),
    seed=st.integers(0, 1000),
)
def test_what_streams_is_the_text_up_to_the_first_stop_string(text: str, stops: list[str], seed: int) -> None:
    out, stream = feed(text, stops, random.Random(seed))
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    assert stream.stopped == bool(ends)
    if not ends:
        assert "".join(out) + stream.finish() == text
        return
    said = "".join(out)
    # Several characters may arrive at once, so a later and shorter stop string can be complete in the same step.
    assert said in {text[:at] for stop in stops for at in range(len(text)) if text.startswith(stop, at)}
    assert not any(stop in said for stop in stops)
    assert stream.finish() == ""


def test_no_part_of_a_stop_string_is_ever_shown() -> None:
    stream = TextStream(lambda ids: "".join("Yes. ### Human:"[i] for i in ids), ["### Human:"])
    shown = "".join(stream.add(i) for i in range(len("Yes. ### Human:")))
    assert (shown, stream.stopped) == ("Yes. ", True)


def test_a_false_start_of_a_stop_string_is_shown_once_it_is_clear() -> None:
    text = "a ## b"
    stream = TextStream(lambda ids: "".join(text[i] for i in ids), ["###"])
    assert [stream.add(i) for i in range(len(text))] == ["a", " ", "", "", "## ", "b"]


def test_what_is_held_back_comes_out_when_the_row_ends() -> None:
    stream = TextStream(lambda ids: "".join("a##"[i] for i in ids), ["###"])
    assert "".join(stream.add(i) for i in range(3)) == "a"
    assert stream.finish() == "##"
