"""Chats, drawn or put together from single turns, and questions that only the chat itself answers."""

import random
import re
from dataclasses import dataclass
from itertools import pairwise

from lists import words_of

Turn = tuple[str, str]


_WOMEN = (
    "Alice Amanda Amy Anna Beth Carol Cathy Clara Diana Ella Emily Emma Eva Fiona Grace Hannah Helen Ivy "
    "Jane Jenny Jess Julia Kate Katie Kim Laura Lena Lily Linda Lisa Lucy Maria Mary Megan Mia Molly "
    "Monica Nancy Natalie Nina Olivia Paula Rachel Rose Ruth Sally Sandra Sarah Sophie Sue Susan Tina "
    "Vera Wendy Zoe"
)
_MEN = (
    "Adam Alan Alex Andrew Andy Ben Bill Bob Brian Charlie Chris Daniel Dave David Eric Frank Fred Gary "
    "George Greg Harry Henry Jack Jake James Jason Jeff Jim Joe John Josh Kevin Larry Luke Mark Martin "
    "Matt Max Michael Mike Nick Noah Oliver Oscar Paul Peter Phil Ray Rob Robert Ryan Sam Simon Steve Ted "
    "Tim Tom Tony Will"
)
WOMEN, MEN = _WOMEN.split(), _MEN.split()

_PAST = (
    "was had could would will can did must should might went took gave made wrote came felt found got "
    "held kept knew left lost met paid put read ran saw sold sent set spent stood thought wore won bought "
    "brought built caught drove ate fell flew broke began drank sang slept threw hit cut shot led sat "
    "drew grew hid rode rose stole swam taught tore woke beat bit blew chose dug fought hung heard hurt "
    "rang shook shut sank swore"
)
SAME_FOR_I = frozenset(_PAST.split())
_REGULAR = words_of(
    "want need love like hate hope feel live work play plan own wear sell bake cook read write drink eat "
    "bring take meet give tell buy get make see use keep sing visit drive walk run sleep learn speak help "
    "collect clean paint"
)
_PRESENT = {"is": "am", "has": "have", "does": "do", "goes": "go", "teaches": "teach", "watches": "watch"}
_PRESENT |= {"studies": "study", "tries": "try"} | {f"{verb}s": verb for verb in _REGULAR}
_JOINING = frozenset(("and", "but", "or", "then"))
"""Before a second verb, which would have to change with the first."""
_OTHERS = "i me my we us our you your he him himself she herself they them their it's who hers his her"
_PRONOUNS = frozenset(_OTHERS.split())
_ENDS_OBJECT = frozenset(
    words_of("on in at to with for and but from when by up out off down before after about as into")
)
"""After "her", these show that it is no possessive: "took her with the dog"."""
_SHORT_ANSWERS = (
    "ok",
    "great!",
    "really?",
    "sure",
    "haha",
    "thanks!",
    "oh no",
    "yeah",
    "good to know",
    "why?",
    "nice :)",
    "I see",
    "no way",
    "cool",
)
TO_RETELL = ("summarize: ", "summarize this chat: ", "what happened? ", "tell in short: ")
"""How a summary is asked for."""


@dataclass(frozen=True)
class Statement:
    """What somebody says of himself or herself: "I lost my keys", told as "{name} lost her keys"."""

    said: str
    predicate: str
    """With {his} in place of the possessive."""

    def told(self, name: str) -> str:
        """Return the statement in the third person."""
        return f"{name} {self.predicate.format(his='her' if name in WOMEN else 'his')}"


def statement(sentence: str) -> Statement | None:
    """Return the statement that "he lost his keys" was made from, or None where it is not certain."""
    subject, _, predicate = sentence.rstrip(".! ").partition(" ")
    words = predicate.split()
    own = {"he": "his", "she": "her"}.get(subject.lower())
    if own is None or len(words) < 3 or not sentence.isascii() or set("{}\"'`();:") & set(sentence):
        return None
    if own == "her" and words[-1] == own:
        return None
    if any(one == "her" and two in _ENDS_OBJECT for one, two in pairwise(words)):
        return None
    if any(word.strip(",").lower() in _PRONOUNS - {own} for word in words):
        return None
    if any(one.strip(",") in _JOINING and two in _PRESENT for one, two in pairwise(words)):
        return None
    verb = words[0]
    if verb in _PRESENT:
        first = _PRESENT[verb]
    elif verb in SAME_FOR_I or verb.endswith("ed"):
        first = verb
    else:
        return None
    rest = words[1:]
    mine = ["my" if word == own else word for word in rest]
    theirs = ["{his}" if word == own else word for word in rest]
    return Statement(" ".join(["I", first, *mine]), " ".join([verb, *theirs]))


class Chats:
    """Draws chats, and rows of (source, target) about them."""

    def __init__(self, chats: list[list[Turn]], turns: list[str]) -> None:
        self.chats = chats
        self.statements = [found for turn in turns if (found := statement(turn))]
        self.others = [turn for turn in turns if not re.match(r"(he|she|I)\b", turn, re.IGNORECASE)]

    def who(self, draw: random.Random) -> tuple[str, str]:
        """Ask who says a line."""
        chat = self._part(draw)
        name, said = draw.choice(chat)
        return f"who says '{said[:60]}'? {shown(chat)}", name

    def says(self, draw: random.Random) -> tuple[str, str]:
        """Ask for all that one of them says."""
        chat = self._part(draw)
        name = draw.choice(chat)[0]
        return f"what does {name} say? {shown(chat)}", " ".join(said for who, said in chat if who == name)

    def last(self, draw: random.Random) -> tuple[str, str]:
        """Ask what is said last, and by whom."""
        chat = self._part(draw)
        return f"who speaks last? {shown(chat)}", f"{chat[-1][0]} says: {chat[-1][1]}"

    def speakers(self, draw: random.Random) -> tuple[str, str]:
        """Ask who takes part."""
        chat = self._part(draw)
        return f"who is talking? {shown(chat)}", _listed(list(dict.fromkeys(name for name, _ in chat)))

    def retell(self, draw: random.Random) -> tuple[str, str]:
        """Ask for what the speakers say of themselves, in the third person, without the other turns."""
        names = draw.sample(draw.choice((WOMEN + MEN, WOMEN, MEN)), draw.choice((2, 2, 2, 3)))
        chat: list[Turn] = []
        told: list[str] = []
        for _ in range(draw.randint(1, 3)):
            name, fact = draw.choice(names), draw.choice(self.statements)
            chat += [self._filler(draw, names) for _ in range(draw.randint(0, 2))]
            chat.append((name, fact.said))
            told.append(fact.told(name))
        chat += [self._filler(draw, names) for _ in range(draw.randint(0, 2))]
        return f"{draw.choice(TO_RETELL)}{shown(chat)}", ". ".join(told) + "."

    def _filler(self, draw: random.Random, names: list[str]) -> Turn:
        return draw.choice(names), draw.choice(_SHORT_ANSWERS if draw.random() < 0.5 else self.others)

    def _part(self, draw: random.Random) -> list[Turn]:
        """Draw a part of a chat, with other names in place of its own."""
        chat = draw.choice(self.chats)
        part = chat[draw.randrange(len(chat) - 1) :][: draw.randint(2, 5)]
        speakers = list(dict.fromkeys(name for name, _ in chat))
        names = dict(zip(speakers, draw.sample(WOMEN + MEN, len(speakers)), strict=True))
        known = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        return [(names[name], known.sub(lambda found: names[found[1]], said)) for name, said in part]


def shown(chat: list[Turn]) -> str:
    return " ".join(f"{name}: {said}" for name, said in chat)


def _listed(names: list[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
