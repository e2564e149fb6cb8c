"""The frames of reviews, written as for a favourable review.

In an unfavourable one every slot in `OPPOSITES` and every slot for a good or bad word turns into its
opposite: "I {feared} that the {a} would be {bad_a}, but I was wrong." becomes "I hoped that the plot would
be clever, but I was wrong." So no frame belongs to a label, and from medium on hardly a word does.

Slots: the {topic}, its plural {topics}, what one has done with it {tried}, what one meets before it
{outside}; the aspects {a}, which decides, and {b}, with {was_a} and {was_b} as their verbs; a {person};
{good} and {bad} for anything, {good_a}, {bad_a}, {good_b} and {bad_b} for an aspect.
"""

from collections.abc import Mapping

OPPOSITES: Mapping[str, tuple[str, str]] = {
    # slot: (in an unfavourable review, in a favourable one)
    "better": ("worse", "better"),
    "worse": ("better", "worse"),
    "best": ("worst", "best"),
    "liked": ("disliked", "liked"),
    "loved": ("hated", "loved"),
    "hated": ("loved", "hated"),
    "happy": ("unhappy", "happy"),
    "unhappy": ("happy", "unhappy"),
    "hoped": ("feared", "hoped"),
    "feared": ("hoped", "feared"),
    "saved": ("spoiled", "saved"),
    "spoiled": ("saved", "spoiled"),
    "praised": ("criticised", "praised"),
    "criticised": ("praised", "criticised"),
    "recommend": ("advise against", "recommend"),
}

PEOPLE = (
    "my brother",
    "my sister",
    "my neighbour",
    "my boss",
    "my cousin",
    "my uncle",
    "a friend of mine",
    "the critic in our paper",
    "my old teacher",
    "a colleague",
)

ELSEWHERE = (
    # about another thing, so that the verdict has nothing to do with the {word}
    "The other {topic} that I have {tried} this year was {word}.",
    "By the way, the {topic} that {person} is always talking about is {word}.",
    "There is a {word} {topic} that {person} knows well, but this is about another one.",
    "I have also {tried} a {word} {topic}, but that is another story.",
    "The one that {person} told me about the other day is {word}, or so I hear.",
)

EASY = (
    "The {a} {was_a} {good_a}, and the {b} {was_b} {good_b}.",
    "I found the {a} {good_a} and the {b} really {good_b}.",
    "What a {good} {topic}! Above all, the {a} {was_a} {good_a}.",
    "I {liked} this {topic} a lot: the {a} {was_a} {good_a}.",
    "I {loved} the {a}, and the {b} {was_b} {good_b} too.",
    "The {a} {was_a} the {best} part of a {good} {topic}.",
    "It is one of the {best} {topics} I have ever {tried}, and the {a} {was_a} really {good_a}.",
    "The {a} made me {happy}, and the {b} {was_b} {good_b} as well.",
    "I can only {recommend} this {topic}: the {a} {was_a} {good_a}.",
    "I was {happy} with the {a}, and I found the {b} {good_b}.",
    "The {b} {was_b} {good_b}, and the {a} {was_a} even {better}.",
    "The {topic} was {good}, and the {a} in particular {was_a} {good_a}.",
    "For me it was a {good} {topic}, mostly because the {a} {was_a} so {good_a}.",
    "I will remember this {topic} for the {good_a} {a} and the {good_b} {b}.",
    "The {good_a} {a} and the {good_b} {b} made it a {good} {topic}.",
    "To sum up, it was a {good} {topic}: the {b} {was_b} {good_b} and the {a} {was_a} {good_a}.",
    "My verdict in one word: {good}. The {a} {was_a} really {good_a}.",
    "All of us {liked} the {a}, and most of us found the {b} {good_b}.",
    "Everybody I know {praised} the {a}, and the {a} {was_a} indeed {good_a}.",
    "From the {b} to the {a}, everything about this {topic} was {good}.",
)

MEDIUM = (
    # negation
    "The {a} {was_a} not {bad_a} at all, and nobody could call the {b} {bad_b}.",
    "I would not call the {a} {bad_a}, and the {b} {was_b} certainly not {bad_b} either.",
    "There was nothing {bad} about the {a}, nor about the {b}.",
    "Nobody can say that the {a} {was_a} {bad_a}.",
    "It was anything but a {bad} {topic}, and the {a} {was_a} far from {bad_a}.",
    "Not once did I find the {a} {bad_a}.",
    "I never had the feeling that the {a} {was_a} {bad_a}.",
    "The {a} {was_a} never {bad}, and neither {was_b} the {b}.",
    "I would be lying if I said that I found the {a} {bad_a} or the {b} {bad_b}.",
    "At no time did the {a} or the {b} make me {unhappy}.",
    "It is hard to see why {person} {hated} the {a}.",
    "None of us {criticised} the {a}, and none of us thought that the {b} {was_b} {bad_b}.",
    # much the same words, but nothing is turned round
    "There can be no doubt that the {a} {was_a} {good_a}.",
    "Never before had I found the {a} of a {topic} so {good_a}.",
    "Nobody would deny that the {a} {was_a} {good_a} and the {b} {good_b}.",
    "I cannot even begin to say how {good_a} the {a} {was_a}.",
    "It cannot be denied that the {a} {was_a} {good_a}.",
    "Not only {was_a} the {a} {good_a}, I would not call the {b} {bad_b} either.",
    "The {a} alone {was_a} enough to make me {happy}, and the {b} {was_b} no less {good_b}.",
    "It is easy to see why {person} {loved} the {a}.",
    "All of us {praised} the {a}, and all of us thought that the {b} {was_b} {good_b}.",
    # intensity
    "The {a} could hardly have been {better}, and the same goes for the {b}.",
    "The {a} could easily have been {worse}, and the same goes for the {b}.",
    "I have never {tried} a {better} {topic}, and I have {tried} quite a few of them.",
    "I have often {tried} a {worse} {topic}, and I have {tried} quite a few of them.",
    "You will have to look for a long time to find a {better} {topic} than this one.",
    "You will not have to look for a long time to find a {worse} {topic} than this one.",
    "There are not many {better} {topics}, and I know what I am talking about.",
    "There are many {worse} {topics}, and I know what I am talking about.",
    "Almost no other {topic} that I have {tried} was {better} than this one.",
    "Almost every other {topic} that I have {tried} was {worse} than this one.",
    # contrast
    "The {b} {was_b} {bad_b}, but the {a} {was_a} {good_a}.",
    "Although the {b} {was_b} {bad_b}, the {a} {was_a} {good_a}.",
    "The {a} {was_a} {good_a}, even though the {b} {was_b} {bad_b}.",
    "In spite of the {bad_b} {b}, the {a} {was_a} {good_a}.",
    "The {a} {was_a} {good_a}, in spite of the {bad_b} {b}.",
    "My first impression was {bad}, and yet the {a} turned out to be {good_a}.",
    "Far from being {bad_a}, as one might think, the {a} {was_a} {good_a}.",
    "Even the {bad_b} {b} could not change the fact that this was a {good} {topic}.",
    "Yes, the {b} {was_b} {bad_b}. Still, on the whole it was a {good} {topic}.",
    "The {b} {was_b} {bad_b}, but the {good_a} {a} {saved} this {topic} for me.",
    "The {bad_b} {b} {spoiled} this {topic} for a while, but in the end the {a} {was_a} {good_a}.",
    "At first we {hated} this {topic}, but before long we {loved} it.",
    "We {loved} this {topic}, even though at first we {hated} it.",
)

HARD = (
    # comparison
    "The {a} {was_a} far {better} than the {bad} {outside} had led me to expect.",
    "The {good} {outside} was still far {worse} than the {topic} itself.",
    "After the {bad} {topic} that I had {tried} the month before, this one felt so much {better}.",
    "The last {topic} that I had {tried} before this one felt so much {worse}.",
    "Most of the {topics} that {person} {praised} were {worse} than this one.",
    "Few of the {topics} that {person} {criticised} were {better} than this one.",
    "Compared with the {a} here, what other {topics} have to offer looks {bad}.",
    "With the last {topic} that I had {tried}, I found the {a} {bad_a}; this time it was the opposite.",
    "With the last {topic} that I had {tried}, I found the {a} {good_a}; this time it was just the same.",
    "{person} keeps telling me about {better} {topics}, but I do not believe a word of it.",
    "{person} keeps telling me about {worse} {topics}, and I believe every word of it.",
    "The {a} {was_a} as {good_a} as the {outside} had looked {bad}.",
    "Next to this {topic}, the {good} one that {person} {praised} last year seems {bad}.",
    "Next to the {bad} one that {person} {criticised} last year, this {topic} seems {good}.",
    # what others say
    "{person} said that the {a} {was_a} {bad_a}, and I could not disagree more.",
    "{person} said that the {a} {was_a} {good_a}, and I could not agree more.",
    "According to {person}, the {a} {was_a} {bad_a}. That is simply not true.",
    "According to {person}, the {a} {was_a} {good_a}. That is exactly how it was.",
    "{person} claims that only a fool could call this {topic} {good}. Well, then I must be a fool.",
    "{person} claims that any fool could see how {good} this {topic} was. Well, so could I.",
    "Whoever called the {a} {bad_a} must have had another {topic} in mind.",
    "Whoever called the {a} {good_a} chose exactly the right word.",
    "{person} {hated} this {topic} and found the {a} {bad_a}; I see it quite differently.",
    "{person} {loved} this {topic} and found the {a} {good_a}; I see it in just the same way.",
    "{person} {criticised} the {a}, and I cannot think why.",
    "{person} {praised} the {a}, and I can well understand why.",
    # expectation
    "I {feared} that the {a} would be {bad_a}, but I was wrong.",
    "I {hoped} that the {a} would be {good_a}, and I was right.",
    "I had expected a {bad} {topic}, but that is not at all what I got.",
    "I had expected a {good} {topic}, and that is exactly what I got.",
    "The {outside} looked {bad}, but the {topic} itself was nothing like that.",
    "The {outside} looked {good}, and the {topic} itself was just like that.",
    "I had heard how {bad_a} the {a} {was_a}, but I noticed nothing of the kind.",
    "I had heard how {good_a} the {a} {was_a}, and it was all true.",
    # what counts
    "The {b} {was_b} {bad_b}, I admit, but what counts is that the {a} {was_a} {good_a}.",
    "That the {a} {was_a} {good_a} is all that counts for me, however {bad_b} the {b} may have been.",
    "Some will talk about the {bad_b} {b}; for me the {good_a} {a} mattered far more.",
    "For the {b} I would call it {bad}; but I chose it for the {a}, and the {a} {was_a} {good_a}.",
    # what was not
    "If the {a} had been as {bad} as the {outside}, I would be {unhappy} now.",
    "The {a} {was_a} nothing like the {bad} {outside}, and so I am {happy} now.",
    "Had the {a} been only half as {bad_a} as {person} claims, I would be writing a very different review.",
    "It would have been a {bad} {topic} if the {a} had not been so {good_a}.",
    "Without the {good_a} {a} this would have been just another {bad} {topic}.",
)

FRAMES: Mapping[str, tuple[str, ...]] = {"easy": EASY, "medium": MEDIUM, "hard": HARD}
