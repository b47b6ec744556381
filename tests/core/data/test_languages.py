"""Languages are guessed from common words: right for plain text, and no guess where there is too little of it."""

from __future__ import annotations

import pytest

from core.data import Conversation, Message, read_dataset
from core.data.languages import UNKNOWN, LanguageCounts, language_of
from core.data.samples import SAMPLES

SENTENCES = {
    "English": "What is the capital of Cuba? The capital of Cuba is Havana, and it was founded in 1519.",
    "German": "Was ist die Hauptstadt von Kuba? Die Hauptstadt ist Havanna, und sie wurde 1519 gegründet.",
    "French": "Quelle est la capitale de Cuba ? La capitale est La Havane, et elle se trouve dans le nord du pays.",
    "Spanish": "¿Cuál es la capital de Cuba? La capital es La Habana, y está en el norte de la isla.",
    "Portuguese": "Qual é a capital de Cuba? A capital é Havana, e não fica longe do mar como se pensa.",
    "Italian": "Qual è la capitale di Cuba? La capitale è L'Avana, che non è lontana dal mare e sono tutti contenti.",
    "Dutch": "Wat is de hoofdstad van Cuba? De hoofdstad is Havana, en het ligt niet ver van de zee.",
    "Swedish": "Vad är huvudstaden på Kuba? Det är Havanna, och den ligger inte långt från havet.",
    "Polish": "Co jest stolicą Kuby? Stolicą jest Hawana, to miasto nie leży daleko od morza i jest na północy.",
    "Turkish": "Küba'nın başkenti ne? Başkent Havana, bu çok güzel bir şehir ve denize yakın.",
    "Japanese": "キューバの首都はどこですか。ハバナです。",
    "Chinese": "古巴的首都是哪里?哈瓦那。",
    "Korean": "쿠바의 수도는 어디입니까? 아바나입니다.",
    "Greek": "Ποια είναι η πρωτεύουσα της Κούβας;",
    "Cyrillic script": "Какой город столица Кубы? Гавана.",
    "Arabic script": "ما هي عاصمة كوبا؟ هافانا.",
    UNKNOWN: "x = f(y); return 12 + 7",
}


@pytest.mark.parametrize(("language", "text"), SENTENCES.items())
def test_each_language(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "42", "Hi", "Hi\nHello!", "Havana"])
def test_too_little_is_not_guessed(text: str) -> None:
    assert language_of(text) == UNKNOWN


def test_shares_are_of_conversations_and_a_system_prompt_does_not_count() -> None:
    def talk(text: str) -> Conversation:
        system = Message(role="system", content=SENTENCES["German"] * 3)
        return Conversation(1, [system, Message(role="user", content=text), Message(role="assistant", content="12")])

    said = str(LanguageCounts([talk(SENTENCES["English"])] * 3 + [talk("Привет, как дела?")]))
    assert said == "English 75%, Cyrillic script 25%"
    assert str(LanguageCounts()) == ""


@pytest.mark.parametrize("name", SAMPLES)
def test_the_bundled_samples_are_english(name: str) -> None:
    """Short questions and answers, with few of the words that long texts are full of."""
    found = LanguageCounts(read_dataset(name).conversations).found
    assert found["English"] > 0.9 * found.total()
