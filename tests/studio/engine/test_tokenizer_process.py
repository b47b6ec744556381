"""The process that runs the base's tokenizer for the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import read_dataset
from studio.engine.tokenizer_process import TokenizerProcess
from tests.studio.data.conversations import dataset_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenizerProcess]:
    process = TokenizerProcess(Home.open(tmp_path_factory.mktemp("tokenizer")), "builtin")
    yield process
    process.close()


def test_the_tokenizers_process_tells_tokens_as_they_are_trained(tokenizer: TokenizerProcess) -> None:
    conversation = dataset_of("Grün, naïve 🦙 — said\n\ttwice.").conversations[0]
    (tokens,) = tokenizer.view(conversation)
    text = "".join(token[0] for token in tokens)
    assert "Grün, naïve 🦙 — said\n\ttwice." in text
    trained = "".join(token[0] for token in tokens if token[2] and not token[3])
    assert trained.strip() == "Grün, naïve 🦙 — said\n\ttwice."
    assert any(token[3] for token in tokens)
    first = next(index for index, token in enumerate(tokens) if token[2])
    assert tokenizer.count([conversation]) == [[(len(tokens), sum(token[2] for token in tokens), first)]]


def test_a_tokenizer_that_ended_is_started_again(tokenizer: TokenizerProcess) -> None:
    conversations = read_dataset("pirate").conversations[:3]
    before = tokenizer.count(conversations)
    tokenizer.close()
    assert not tokenizer.running
    assert tokenizer.count(conversations) == before


def test_a_base_without_a_tokenizer_is_told_in_plain_words(home: Home) -> None:
    with pytest.raises(UserError, match="neither 'builtin', nor a folder, nor a Hub id"):
        TokenizerProcess(home, "no base!").view(dataset_of("Yes.").conversations[0])
