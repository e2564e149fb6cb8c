"""What SmolLM2 is asked to write: lists of topics, words and examples, and prompts drawn from them."""

import random
from dataclasses import dataclass

from chats import MEN, WOMEN
from lists import parts_of, words_of

TOPICS = parts_of(
    "a bicycle; the train; a cat; a dog; the kitchen; a job interview; school; a wedding; the garden; a "
    "phone; the dentist; a jacket; the neighbors; money; a football match; a concert; the beach; a "
    "window; homework; a birthday; the supermarket; a guitar; the bus; soup; a car; a suitcase; the "
    "rain; a haircut; the gym; a laptop; a recipe; the office; the boss; an exam; the library; a book; "
    "a movie; a photo; a letter; a key; a wallet; the airport; a hotel; a passport; the snow; a "
    "sweater; shoes; a lamp; a sofa; the roof; a ladder; paint; a baby; a grandmother; a brother; a "
    "sister; a cousin; an uncle; a friend; a teacher; a doctor; the hospital; a cold; a headache; a "
    "broken arm; glasses; coffee; tea; breakfast; a cake; a pizza; bread; apples; fish; cooking; the "
    "oven; the fridge; the washing machine; a vacuum cleaner; a new apartment; rent; moving; a "
    "roommate; the internet; a password; an email; a video game; a puzzle; chess; running; swimming; "
    "skiing; tennis; dancing; a choir; the piano; a painting; a museum; the theater; a holiday; a tent; "
    "a mountain; a lake; a boat; a horse; birds; a spider; a tree; flowers; vegetables; the market; a "
    "present; a party; a costume; Christmas; the new year; a language course; the university; a "
    "diploma; a salary; a promotion; a meeting; a presentation; a colleague; a strike; a taxi; the "
    "subway; a driving test; a traffic jam; a parking ticket; an accident; a loan; the bank; an "
    "insurance; the police; a thief; a lost child; an old friend; a first date; a divorce; an "
    "engagement ring; a diet; a tattoo; a dream; a storm; the heating; a power cut; a flat tire; a bag; "
    "an umbrella; a watch; a camera; headphones; a charger"
)
VERBS = words_of(
    "lost found bought sold broke repaired forgot left missed made got met read cleaned invited painted "
    "took wrote saw heard wants has is was had went came started stopped finished cooked burned ordered "
    "borrowed dropped spilled washed built planted carried moved called visited helped asked told gave "
    "sent received won failed passed learned taught studied practiced quit hired applied drove walked "
    "ran fell hurt slept woke dreamed decided promised planned tried needed cut grew fed spent saved "
    "paid wore"
)
EVENTS = (
    ("the office", "She has to work late because her boss is ill."),
    ("a dog", "He took his dog to the vet on Monday morning."),
    ("a lamp", "She dropped her new lamp on the stairs."),
    ("swimming", "He wants to learn how to swim before the summer."),
    ("the piano", "She plays the piano for her grandfather every Sunday."),
    ("a parking ticket", "He got a parking ticket in front of his own house."),
    ("moving", "She is moving to a smaller apartment near the station."),
    ("an exam", "He failed his math exam and has to take it again in May."),
    ("bread", "She baked two loaves of bread for the people next door."),
    ("a passport", "He noticed at the airport that his passport was still at home."),
    ("a cold", "She has had a cold since Thursday and stays in bed."),
    ("a colleague", "He lent his car to a colleague for the weekend."),
    ("a haircut", "She is unhappy with her new haircut and wears a hat."),
    ("the internet", "He can't work because the internet is down again."),
    ("coffee", "She spilled coffee on her keyboard this morning."),
    ("a wedding", "He forgot the rings at home on the day of the wedding."),
    ("money", "She is saving money for a trip to Norway."),
    ("a storm", "He found his garden chair on the roof after the storm."),
    ("a recipe", "She asked her mother for the recipe of the apple soup."),
    ("running", "He runs along the river twice a week with his brother."),
)
"""(topic, what happened to somebody)"""

FILMS = parts_of(
    "a film; a comedy; a drama; a thriller; a documentary; a love story; a war film; a cartoon; a sequel"
)
FILM_OPENINGS = parts_of(
    "The story; The plot; The acting; The actors; The dialogue; The ending; The jokes; The script; The "
    "director; The characters; The camera; The music; The last half hour; The first hour; The whole "
    "cast; The leading lady; A; An; It; It's; This; What a; There is; There are; Too; Not; Never; You; "
    "We; I; If; Every scene; No; Two hours; Despite; Even; With; As"
)
THINGS = (
    "a novel: The story, The characters, The style, The first chapter, The heroine, The ending\n"
    "a cookbook: The recipes, The photos, The instructions, The cakes\n"
    "a restaurant: The soup, The waiter, The menu, The dessert, The fish, The table, The bill\n"
    "a café: The coffee, The cake, The chairs, The breakfast, The owner\n"
    "a pizza: The crust, The cheese, The sauce, The delivery\n"
    "a hotel: The room, The bed, The breakfast, The staff, The shower, The view\n"
    "a museum: The paintings, The rooms, The guide, The entrance fee\n"
    "a campsite: The showers, The lake, The people next to us, The ground\n"
    "a phone: The screen, The battery, The camera, The buttons\n"
    "a laptop: The keyboard, The fan, The display, The battery\n"
    "a vacuum cleaner: The cable, The motor, The noise, The bag\n"
    "a pair of shoes: The soles, The laces, The leather, My feet\n"
    "a jacket: The zipper, The fabric, The pockets, The color\n"
    "an armchair: The cushion, The legs, My back, The delivery\n"
    "a concert: The singer, The sound, The drummer, The crowd, The songs\n"
    "a podcast: The host, The guests, The stories, The voices\n"
    "a video game: The levels, The controls, The music, The puzzles\n"
    "a language course: The teacher, The lessons, The exercises, The other students\n"
    "a hairdresser: The cut, The color, My hair, The price\n"
    "a train ride: The seats, The delay, The view, The conductor"
)
OPENINGS = parts_of("It; It's; I; We; This; What a; After; My; Never; Not; You; If; For; There")
GOOD = (
    ("funny", "a comedy", "A warm and clever film with two actors who clearly enjoy themselves."),
    ("moving", "a drama", "Quiet, honest and beautifully filmed, it stays with you for days."),
    ("exciting", "a thriller", "Every scene is a surprise, and the last one is the best of all."),
    ("charming", "a documentary", "It is funny, wise and never too long."),
    ("wonderful", "a bakery", "Warm bread, kind people, and a plum cake that I still dream of."),
    ("solid", "a tent", "We put it up in five minutes, and it kept us dry all night."),
    ("gripping", "a novel", "I finished it in one night and loved every page."),
    ("excellent", "a keyboard", "The keys feel great, and I type faster than ever."),
)
BAD = (
    ("boring", "a comedy", "Two hours of tired jokes, and not one of them is funny."),
    ("dull", "a drama", "The actors look bored, and so was I."),
    ("silly", "a thriller", "A slow, stupid mess that nobody should pay for."),
    ("ugly", "a cartoon", "It is loud and ugly and has nothing to say."),
    ("useless", "a lamp", "It flickered from the first day, and after a week it was broken."),
    ("annoying", "a podcast", "Two boring men who laugh at their own bad stories."),
    ("terrible", "a steakhouse", "The meat was cold, the waiter was rude, and the bill was wrong."),
    ("poor", "a rucksack", "The straps hurt my shoulders, and the zipper tore on the first trip."),
)
"""(mood, thing, a review of it)"""
MOODS = {
    "positive": words_of(
        "funny moving exciting charming wonderful solid gripping excellent lovely amazing fresh clever"
    ),
    "negative": words_of(
        "boring dull silly ugly useless annoying terrible poor awful sad weak disappointing"
    ),
}

RELATIONS = parts_of(
    "two friends; two colleagues; two neighbors; two old friends; two students; a couple; two "
    "roommates; two people from the same office"
)
GROUPS = parts_of("friends; colleagues; neighbors; students; roommates; people who know each other well")
FEELINGS = parts_of(
    "happy; tired; worried; curious; in a good mood; in a hurry; surprised; bored; angry; relaxed"
)


@dataclass(frozen=True)
class EventPrompt:
    """Asks for one sentence of something that happened to somebody."""

    topic: str
    subject: str
    """He or She."""
    verb: str | None
    """None leaves it to the model."""

    @property
    def text(self) -> str:
        """Return the prompt, with the beginning of the answer."""
        return f"About {self.topic}: {self.opening}"

    @property
    def opening(self) -> str:
        """Return how the answer begins."""
        return f"{self.subject} {self.verb}" if self.verb else self.subject


@dataclass(frozen=True)
class ReviewPrompt:
    """Asks for one sentence of praise or blame."""

    label: str
    """positive or negative"""
    mood: str
    thing: str
    opening: str

    @property
    def sign(self) -> int:
        """Return 1 for praise and -1 for blame."""
        return 1 if self.label == "positive" else -1

    @property
    def text(self) -> str:
        """Return the prompt, with the beginning of the answer."""
        return f"{_asked(self.label, self.mood, self.thing)} {self.opening}"


def _asked(label: str, mood: str, thing: str) -> str:
    return f"{'Good' if label == 'positive' else 'Bad'}, {mood}, about {thing}:"


def event_prefix(draw: random.Random) -> str:
    """Return the examples of a batch of events."""
    shown = "".join(f"About {topic}: {event}\n" for topic, event in draw.sample(EVENTS, 6))
    return f"What happened to whom, one sentence each.\n\n{shown}"


def event_prompts(draw: random.Random, topic: str, count: int) -> list[EventPrompt]:
    """Draw prompts about one topic, half of them with a verb."""
    verbs = [*draw.sample(VERBS, count // 2), *[None] * (count - count // 2)]
    return [EventPrompt(topic, draw.choice(("He", "She")), verb) for verb in verbs]


def review_prefix(draw: random.Random) -> str:
    """Return the examples of a batch of reviews."""
    shown = [f"{_asked('positive', mood, thing)} {text}\n" for mood, thing, text in draw.sample(GOOD, 4)]
    shown += [f"{_asked('negative', mood, thing)} {text}\n" for mood, thing, text in draw.sample(BAD, 4)]
    draw.shuffle(shown)
    return f"What people think, one sentence each.\n\n{''.join(shown)}"


def opinion_prefix(draw: random.Random) -> str:
    """Return reviews with their polarity, to ask for that of others."""
    shown = [f"Review: {text}\nSentiment: positive\n\n" for _, _, text in draw.sample(GOOD, 2)]
    shown += [f"Review: {text}\nSentiment: negative\n\n" for _, _, text in draw.sample(BAD, 2)]
    draw.shuffle(shown)
    return "".join(shown)


def review_prompt(draw: random.Random, label: str) -> ReviewPrompt:
    """Draw a prompt, about a film half of the time."""
    mood = draw.choice(MOODS[label])
    if draw.random() < 0.5:
        return ReviewPrompt(label, mood, draw.choice(FILMS), draw.choice(FILM_OPENINGS))
    thing, _, aspects = draw.choice(THINGS.split("\n")).partition(": ")
    return ReviewPrompt(label, mood, thing, draw.choice([*aspects.split(", "), *draw.sample(OPENINGS, 4)]))


def speakers(draw: random.Random) -> list[str]:
    """Draw two to four names, mostly two."""
    return draw.sample(draw.choice((WOMEN + MEN, WOMEN, MEN)), draw.choice((2, 2, 2, 2, 3, 3, 4)))


def scene(draw: random.Random, names: list[str]) -> str:
    """Return who is talking, as the beginning of a chat."""
    who = draw.choice(RELATIONS if len(names) == 2 else GROUPS)
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{who}, {listed}. {draw.choice(names)} is {draw.choice(FEELINGS)}."


CHAT_PREFIX = "The following is a short chat between"
