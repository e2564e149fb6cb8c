"""The turns of the dialogues: exchanges, each in several wordings.

A and B are the two who plan, C is a third person and E one who is only talked about; X brings something, and
Y is another of those who take part. {first_day}, {first_time} and {first_place} are what is proposed, {day},
{time} and {place} what is agreed on; without a change they are equal.
"""

from collections.abc import Mapping
from textwrap import dedent


def _wordings(text: str) -> tuple[str, ...]:
    return tuple(dedent(text).strip().split("\n\n"))


EXCHANGES: Mapping[str, tuple[str, ...]] = {
    # small talk; `news` is somebody else's plan
    "greet": _wordings("""
        A: Hi {B}, how are you? Did the meeting take as long as you thought?
        B: Even longer. But I'm fine, just a bit tired.

        A: Hello {B}! Did you get caught in the rain this morning?
        B: I did, and my shoes are still wet!

        A: Hey {B}, is your cold any better?
        B: Much better, thank you. I slept all day.

        A: Hi {B}, did you get home all right yesterday?
        B: Yes, for once the bus was even early. I was in bed by eleven.

        A: Good morning, {B}! Are you up already?
        B: Just about. I'm having my first coffee.

        A: Hey {B}, did your parcel arrive?
        B: Yes, it came this morning, at last.

        A: Hi {B}! How did the job interview go?
        B: Quite well, I think. They want to call me back.

        A: Hello {B}, have you finished your essay?
        B: Nearly. One more page and I'm done.

        A: Hey {B}, I saw you on the tram today, but you were reading.
        B: Really? You should have said hello!

        A: Hi {B}, is the new flat in order?
        B: Almost. There are still boxes everywhere, but I've found the kettle.

        A: Hi {B}, I called you earlier, but nobody answered.
        B: Sorry, my phone was in the other room. I only noticed just now.

        A: Hello {B}! I heard you've got a puppy?
        B: Yes, and she has already eaten one of my slippers.
    """),
    "talk": _wordings("""
        A: By the way, thanks again for the recipe, everybody loved it.
        B: You're welcome. My grandmother taught me that one.

        A: I'm still laughing about your joke.
        B: I have plenty more of those!

        A: Did you see the sunset last night?
        B: Yes, the whole sky was orange. I took about fifty pictures.

        A: I've been tidying up the cellar since breakfast.
        B: Oh dear, I should do that as well.

        A: It's so warm today, don't you think?
        B: It is. I had lunch on the balcony.

        A: I've started reading the book you lent me.
        B: And? I couldn't put it down.

        A: My bike has a flat tyre again.
        B: Not again! That's the third time this month.

        A: I've just been to the hairdresser.
        B: Send me a photo!
    """),
    "news": _wordings("""
        A: Hi {B}! My cousin is getting married on {else_day}, and I still have no present.
        B: How nice! I'm sure you'll find something.

        A: Hello {B}, did you know that {E} is moving to Spain on {else_day}?
        B: No, really? How exciting!

        A: Hey {B}! My brother has his driving test on {else_day} at {else_time}.
        B: I'll keep my fingers crossed.

        A: Hi {B}! My parents are going to the opera on {else_day}, for the first time ever.
        B: I hope they enjoy it. I always fall asleep there.

        A: Hello {B}! The people upstairs are giving a party on {else_day}, so I won't get much sleep.
        B: Poor you!

        A: Hey {B}, {E} is running a marathon on {else_day}.
        B: Wow, I could never do that. I get tired on the stairs.

        A: Hi {B}! I heard that {E} is opening a shop on {else_day}.
        B: Yes, with hats and scarves.

        A: Hey {B}, my aunt is coming back from India on {else_day}.
        B: She must have so many stories to tell!
    """),
    # proposals
    "propose": _wordings("""
        A: Shall we {do} {first_place} on {first_day} at {first_time}?

        A: Do you feel like {doing} {first_place} on {first_day}, say at {first_time}?

        A: How about {doing} on {first_day}? We could meet {first_place} at {first_time}.

        A: I'd like to {do}. Are you free on {first_day} at {first_time}? I thought of meeting {first_place}.

        A: Would you like to {do} with me on {first_day}? I'd suggest {first_time}, {first_place}.
    """),
    "propose_day": _wordings("""
        A: Shall we {do} on {first_day}?
        B: Good idea! What time?
        A: How about {first_time}?

        A: Do you feel like {doing} on {first_day}?
        B: I'd like that. When would suit you?
        A: Is {first_time} all right?

        A: I want to {do} on {first_day}. Are you coming along?
        B: Gladly! When?
        A: I thought of {first_time}.

        A: What about {doing} on {first_day}?
        B: Why not? At what time?
        A: Let's say {first_time}.
    """),
    "ask_place": _wordings("""
        B: OK. And where do we meet?
        A: Let's meet {first_place}.

        B: Suits me. Where shall we do it?
        A: I'd say {first_place}.

        B: That works. Where, exactly?
        A: I thought of meeting {first_place}.
    """),
    "propose_other": _wordings("""
        A: Shall we {other_do} on {first_day}?
        B: Not that again! I'd rather {do}. We could meet {first_place} at {first_time}.

        A: I feel like {other_doing} on {first_day}. Are you coming?
        B: To be honest, I'd prefer to {do}. How about {first_time}, {first_place}?

        A: How about {other_doing} on {first_day}?
        B: I'm not in the mood for that. But I'd love to {do}, say at {first_time}, {first_place}.
    """),
    "agree": _wordings("""
        A: Even better, let's do that.

        A: OK, why not? I'm in.

        A: All right, you've convinced me.

        A: Fine, that sounds like more fun.
    """),
    "accept": _wordings("""
        B: Sure, that works for me.

        B: Good idea, count me in!

        B: Yes, gladly!

        B: Sounds good to me.

        B: Oh yes, I'd love to!
    """),
    # changes
    "b_changes_day": _wordings("""
        B: I'd love to, but on {first_day} {reason}. Could we make it {day}?
        A: Of course, {day} is fine too.

        B: Not on {first_day}, I'm afraid: {reason}. Are you free on {day}?
        A: Yes, {day} works for me.

        B: Hmm, {reason} on {first_day}. What about {day} instead?
        A: No problem, let's take {day}.

        B: Sorry, {first_day} is no good, because {reason}. Would {day} be possible?
        A: Yes, {day} is even better.
    """),
    "a_changes_day": _wordings("""
        A: Oh no, I've just remembered that {reason} on {first_day}. Can we move it to {day}?
        B: {day}? Yes, that's all right.

        A: Wait, I got my days mixed up. On {first_day} {reason}. Is {day} OK?
        B: Sure, I have nothing planned on {day}.

        A: One moment, my calendar says that {reason} on {first_day}. So let's do it on {day}.
        B: Fine, {day} it is.
    """),
    "b_changes_time": _wordings("""
        B: Gladly, but {first_time} is too early for me. Is {time} all right?
        A: OK, let's say {time}.

        B: Good idea, but I won't be ready by {first_time}. Can we make it {time}?
        A: Sure, {time} is fine.

        B: I'd like to, but at {first_time} I'll still be on the bus. Could you manage {time}?
        A: Yes, {time} is no problem.
    """),
    "a_changes_time": _wordings("""
        A: Actually, I can't get there by {first_time}. Would {time} be OK?
        B: Of course. At {time}, then.

        A: Oh, I forgot that I have to go shopping first. Could we start at {time} instead of {first_time}?
        B: All right, at {time}, then.

        A: On second thoughts, {first_time} is a bit early. Let's start at {time}.
        B: Fine with me, {time} is better anyway.
    """),
    "b_changes_place": _wordings("""
        B: Gladly, but it's always so crowded {first_place}. Can we meet {place} instead?
        A: Good point. Then we'll meet {place}.

        B: Why not? But does it have to be {first_place}? It's much nicer {place}.
        A: You're right, let's do it {place}.

        B: I'd rather not do it {first_place}, that's too far for me. How about {place}?
        A: OK, {place} is fine.
    """),
    "a_changes_place": _wordings("""
        A: I've just heard that there will be a big crowd {first_place}. Let's meet {place}.
        B: OK, {place}, then.

        A: Come to think of it, we've met {first_place} so often. Shall we do it {place} for a change?
        B: Yes, I like it {place}.

        A: Just one thing about the place: could we meet {place} and not {first_place}?
        B: Fine, I'll find you.
    """),
    # a third person
    "join": _wordings("""
        A: {C}, are you coming too?
        C: Yes, I'd love to!

        C: Hi you two! Can I come along?
        A: Of course, {C}, the more the merrier.

        B: I think {C} would like to come as well.
        C: Yes, I'm in!

        C: That sounds like fun. Is there room for one more?
        B: Always, {C}!
    """),
    "decline": _wordings("""
        A: {C}, are you coming too?
        C: I'd love to, but I can't, because {other_reason}. Have fun!

        B: And what about you, {C}?
        C: Count me out this time, I have too much to do.

        C: I can't make it, sorry. I'm away all week.
        A: What a pity, {C}!

        A: Is {C} coming as well?
        C: No, go ahead without me, {other_reason}.
    """),
    # tasks
    "bring": _wordings("""
        X: I'll bring {item}.
        Y: Great, thanks!

        Y: Could you bring {item}?
        X: Sure, I'll do that.

        Y: Who brings {item}?
        X: I can do that.

        X: Do we need {item}?
        Y: Yes, definitely.
        X: OK, I'll see to it.
    """),
    "share": _wordings("""
        X: I'll bring {item} if you bring {other_item}.
        Y: It's a deal.

        Y: I could bring {other_item}.
        X: Then I'll take care of {item}.

        X: Shall I bring {item}?
        Y: Yes, please. And I'll bring {other_item}.
    """),
    "correct": _wordings("""
        Y: Shall I bring {other_item}?
        X: No need, that's been taken care of. But I'll bring {item}.

        X: Should I bring {item} or {other_item}?
        Y: Just {item}, please, the rest is there already.
        X: Will do.

        Y: I can bring {item}.
        X: No, let me do that, you have enough to carry.
        Y: All right, thanks!
    """),
    # the end
    "bye": _wordings("""
        A: See you then!
        B: See you!

        B: I'm looking forward to it.
        A: Me too!

        A: So that's settled.
        B: Bye!

        B: So everything is clear. Bye, {A}!

        A: All set, then. Take care, {B}!
        B: You too!

        B: That'll be fun. See you, {A}!
    """),
}
