"""Countries: their capitals, continents and languages."""

from core.builtin.knowledge import Fact, Intent, sentence

# country, capital, continent, language
COUNTRIES: tuple[tuple[str, str, str, str], ...] = (
    ("France", "Paris", "Europe", "French"),
    ("Germany", "Berlin", "Europe", "German"),
    ("Italy", "Rome", "Europe", "Italian"),
    ("Spain", "Madrid", "Europe", "Spanish"),
    ("Portugal", "Lisbon", "Europe", "Portuguese"),
    ("Greece", "Athens", "Europe", "Greek"),
    ("Poland", "Warsaw", "Europe", "Polish"),
    ("Austria", "Vienna", "Europe", "German"),
    ("Hungary", "Budapest", "Europe", "Hungarian"),
    ("Sweden", "Stockholm", "Europe", "Swedish"),
    ("Norway", "Oslo", "Europe", "Norwegian"),
    ("Denmark", "Copenhagen", "Europe", "Danish"),
    ("Finland", "Helsinki", "Europe", "Finnish"),
    ("Ireland", "Dublin", "Europe", "English"),
    ("Iceland", "Reykjavik", "Europe", "Icelandic"),
    ("England", "London", "Europe", "English"),
    ("Ukraine", "Kyiv", "Europe", "Ukrainian"),
    ("Czechia", "Prague", "Europe", "Czech"),
    ("Romania", "Bucharest", "Europe", "Romanian"),
    ("Bulgaria", "Sofia", "Europe", "Bulgarian"),
    ("Croatia", "Zagreb", "Europe", "Croatian"),
    ("Japan", "Tokyo", "Asia", "Japanese"),
    ("China", "Beijing", "Asia", "Chinese"),
    ("India", "New Delhi", "Asia", "Hindi"),
    ("Thailand", "Bangkok", "Asia", "Thai"),
    ("Vietnam", "Hanoi", "Asia", "Vietnamese"),
    ("South Korea", "Seoul", "Asia", "Korean"),
    ("Nepal", "Kathmandu", "Asia", "Nepali"),
    ("Mongolia", "Ulaanbaatar", "Asia", "Mongolian"),
    ("Iran", "Tehran", "Asia", "Persian"),
    ("Iraq", "Baghdad", "Asia", "Arabic"),
    ("Egypt", "Cairo", "Africa", "Arabic"),
    ("Morocco", "Rabat", "Africa", "Arabic"),
    ("Kenya", "Nairobi", "Africa", "Swahili"),
    ("Ghana", "Accra", "Africa", "English"),
    ("Nigeria", "Abuja", "Africa", "English"),
    ("Senegal", "Dakar", "Africa", "French"),
    ("Cuba", "Havana", "North America", "Spanish"),
    ("Mexico", "Mexico City", "North America", "Spanish"),
    ("Canada", "Ottawa", "North America", "English"),
    ("Jamaica", "Kingston", "North America", "English"),
    ("the United States", "Washington", "North America", "English"),
    ("Peru", "Lima", "South America", "Spanish"),
    ("Chile", "Santiago", "South America", "Spanish"),
    ("Brazil", "Brasilia", "South America", "Portuguese"),
    ("Argentina", "Buenos Aires", "South America", "Spanish"),
    ("Colombia", "Bogota", "South America", "Spanish"),
    ("Ecuador", "Quito", "South America", "Spanish"),
    ("Uruguay", "Montevideo", "South America", "Spanish"),
    ("Venezuela", "Caracas", "South America", "Spanish"),
    ("Australia", "Canberra", "Oceania", "English"),
    ("New Zealand", "Wellington", "Oceania", "English"),
)

COUNTRY_ALIASES: dict[str, tuple[str, ...]] = {"the United States": ("the USA", "the US", "America")}


def intents() -> list[Intent]:
    def facts(intent: str, value: int, answer: str) -> tuple[Fact, ...]:
        made = []
        for row in COUNTRIES:
            slots = {"country": row[0], "capital": row[1], "continent": row[2], "language": row[3]}
            text = sentence(answer.format(**slots))
            made.append(Fact(intent, row[0], text, row[value], tuple(slots.items()), COUNTRY_ALIASES.get(row[0], ())))
        return tuple(made)

    and_of = ("And of {country}?", "And {country}?", "What about {country}?", "And for {country}?")
    reverse = tuple(
        Fact("capital_of", row[1], f"{row[1]} is the capital of {row[0]}.", row[0], (("capital", row[1]),))
        for row in COUNTRIES
    )
    return [
        Intent(
            "capital",
            "capitals",
            "capital",
            3.0,
            (
                "What is the capital of {country}?",
                "What's the capital of {country}?",
                "Tell me the capital of {country}.",
                "Name the capital of {country}.",
                "Which city is the capital of {country}?",
                "What is {country}'s capital?",
                "What is the capital city of {country}?",
                "Do you know the capital of {country}?",
                "I want to know the capital of {country}.",
                "The capital of {country}?",
                "Capital of {country}?",
                "What is the name of the capital of {country}?",
                "Can you tell me the capital of {country}?",
                "Please give me the capital city of {country}.",
                "Which city is {country}'s capital city?",
            ),
            (
                "Could you tell me what the capital of {country} is?",
                "I forgot the capital of {country}. What is it?",
                "Please name {country}'s capital city.",
                "Which city serves as the capital of {country}?",
            ),
            facts("capital", 1, "The capital of {country} is {capital}."),
            and_of,
            ("How about {country}?", "And what about {country}?"),
            ("What is its capital?", "And the capital?", "What is the capital there?"),
        ),
        Intent(
            "capital_of",
            "capitals",
            "country",
            1.5,
            (
                "Which country has the capital {capital}?",
                "{capital} is the capital of which country?",
                "Of which country is {capital} the capital?",
                "What country is {capital} the capital of?",
                "Which country's capital is {capital}?",
                "Where is {capital}?",
                "In which country is {capital}?",
                "What is {capital}?",
            ),
            ("What country has {capital} as its capital?", "{capital} is the capital of what country?"),
            reverse,
            ("And {capital}?", "What about {capital}?"),
            ("How about {capital}?",),
        ),
        Intent(
            "continent",
            "continents",
            "continent",
            1.2,
            (
                "Where is {country}?",
                "On which continent is {country}?",
                "Which continent is {country} on?",
                "What continent is {country} in?",
                "In what part of the world is {country}?",
                "Where in the world is {country}?",
                "Tell me where {country} is.",
                "Do you know where {country} is?",
            ),
            ("Where can I find {country}?", "Which continent does {country} belong to?", "Where does {country} lie?"),
            facts("continent", 2, "{country} is in {continent}."),
            ("And {country}?", "And where is {country}?", "What about {country}?"),
            ("How about {country}?",),
            ("Where is it?", "On which continent is it?", "And where is that?", "Which continent is that on?"),
        ),
        Intent(
            "language",
            "languages",
            "language",
            1.2,
            (
                "What language do people speak in {country}?",
                "Which language is spoken in {country}?",
                "What do people speak in {country}?",
                "What is the language of {country}?",
                "What language do they speak in {country}?",
                "Tell me the language of {country}.",
                "Which language do people in {country} speak?",
                "In {country}, what language do people speak?",
            ),
            (
                "What is the main language in {country}?",
                "Which tongue do they speak in {country}?",
                "What language is used in {country}?",
            ),
            facts("language", 3, "People in {country} speak {language}."),
            ("And in {country}?", "What about {country}?", "And {country}?"),
            ("How about in {country}?",),
            ("What language do they speak there?", "What do people speak there?", "And the language?"),
        ),
    ]
