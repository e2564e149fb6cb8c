"""What the reviews are about: topics and their aspects."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A kind of thing that gets reviewed."""

    name: str
    plural: str
    tried: str
    """What one has done with it: a film is `seen`."""
    outside: str
    """What one meets before the thing itself: a film's `trailer`."""
    aspects: str
    """What can be good or bad about it, separated by commas."""
    asides: tuple[str, str, str, str]
    """Sentences without an opinion."""


TOPICS = (
    Topic(
        "film",
        "films",
        "seen",
        "trailer",
        "plot, acting, music, script, ending, costumes",
        (
            "We saw it on a Tuesday evening.",
            "It runs for a little over two hours.",
            "I watched it with my two sisters.",
            "It is set in a small village by the sea.",
        ),
    ),
    Topic(
        "novel",
        "novels",
        "read",
        "cover",
        "story, style, characters, ending, first chapter, translation",
        (
            "I read it on the train to work.",
            "It has about three hundred pages.",
            "It was a present from my aunt.",
            "It tells of two brothers in Norway.",
        ),
    ),
    Topic(
        "restaurant",
        "restaurants",
        "tried",
        "website",
        "soup, service, dessert, bread, terrace, waiter",
        (
            "We went there for my birthday.",
            "There were five of us at the table.",
            "We had booked a table for eight.",
            "It is right behind the town hall.",
        ),
    ),
    Topic(
        "hotel",
        "hotels",
        "stayed at",
        "brochure",
        "room, breakfast, pool, bathroom, staff, view",
        (
            "We stayed there for three nights in May.",
            "Our room was on the fourth floor.",
            "It is a short walk from the harbour.",
            "I was there for a meeting.",
        ),
    ),
    Topic(
        "concert",
        "concerts",
        "been to",
        "poster",
        "sound, singer, songs, hall, encore, band",
        (
            "We stood close to the stage.",
            "It began at eight and ended at ten.",
            "I went there with a colleague.",
            "It was the last one of the summer.",
        ),
    ),
    Topic(
        "phone",
        "phones",
        "used",
        "advert",
        "screen, battery, camera, speaker, keyboard, design",
        (
            "I have had it for six weeks now.",
            "I bought it in March.",
            "I use it mostly at work.",
            "Mine is the black one.",
        ),
    ),
    Topic(
        "cooking course",
        "cooking courses",
        "taken",
        "flyer",
        "teacher, kitchen, recipes, lunch, exercises, atmosphere",
        (
            "It took place on four Saturdays.",
            "There were ten of us in the group.",
            "I took it together with my father.",
            "It is held twice a year.",
        ),
    ),
    Topic(
        "computer game",
        "computer games",
        "played",
        "advert",
        "controls, story, music, graphics, puzzles, final level",
        (
            "I played it for about thirty hours.",
            "It takes place on a distant planet.",
            "I played it with my nephew.",
            "I bought it in the winter sale.",
        ),
    ),
    Topic(
        "museum",
        "museums",
        "visited",
        "website",
        "paintings, garden, audio guide, cafeteria, staff, collection",
        (
            "We were there on a Sunday morning.",
            "A ticket costs nine euros.",
            "We spent two hours there.",
            "It is in the old part of the town.",
        ),
    ),
    Topic(
        "play",
        "plays",
        "seen",
        "poster",
        "acting, dialogue, costumes, stage, ending, music",
        (
            "We saw it on the first night.",
            "There was a break of twenty minutes.",
            "We sat in the third row.",
            "It was written about a hundred years ago.",
        ),
    ),
    Topic(
        "laptop",
        "laptops",
        "used",
        "advert",
        "keyboard, screen, battery, touchpad, speakers, design",
        (
            "I have been using it since January.",
            "I need it for my studies.",
            "I ordered it online.",
            "It replaced my old one from the office.",
        ),
    ),
    Topic(
        "café",
        "cafés",
        "been to",
        "sign at the door",
        "coffee, cakes, service, terrace, music, sandwiches",
        (
            "We stopped there on the way to the lake.",
            "It opens at seven in the morning.",
            "I met a friend there on Monday.",
            "It is on the corner of our street.",
        ),
    ),
    Topic(
        "podcast",
        "podcasts",
        "listened to",
        "description",
        "interviews, jokes, sound, opening, topics, music",
        (
            "There is a new episode every Thursday.",
            "I listen to it while I cook.",
            "Each episode lasts about forty minutes.",
            "It is made by two teachers.",
        ),
    ),
    Topic(
        "boat trip",
        "boat trips",
        "been on",
        "brochure",
        "guide, lunch, crew, deck, view, route",
        (
            "We left at nine in the morning.",
            "It took four hours in all.",
            "There were about twenty passengers.",
            "We went there with our children.",
        ),
    ),
    Topic(
        "bakery",
        "bakeries",
        "been to",
        "shop window",
        "bread, cakes, service, coffee, croissants, smell",
        (
            "It is opposite the station.",
            "I pass it on my way to school.",
            "It opened last October.",
            "I was there on Saturday morning.",
        ),
    ),
    Topic(
        "album",
        "albums",
        "listened to",
        "cover",
        "songs, lyrics, singer, sound, melodies, opening",
        (
            "It has twelve tracks.",
            "It came out in September.",
            "I listened to it in the car.",
            "It was recorded in a church.",
        ),
    ),
    Topic(
        "campsite",
        "campsites",
        "stayed at",
        "website",
        "showers, location, owner, kitchen, playground, restaurant",
        (
            "We put up our tent near the river.",
            "We were there for a week in July.",
            "We arrived late in the evening.",
            "There is room for about eighty tents.",
        ),
    ),
    Topic(
        "gym",
        "gyms",
        "been to",
        "flyer",
        "trainer, machines, changing rooms, classes, music, sauna",
        (
            "I go there twice a week.",
            "I have been a member since April.",
            "It is on the first floor of a shopping centre.",
            "It stays open until eleven.",
        ),
    ),
    Topic(
        "city tour",
        "city tours",
        "been on",
        "flyer",
        "guide, route, stories, audio guide, view, lunch",
        (
            "We started at the main square.",
            "It took about three hours.",
            "We did it on our second day.",
            "There were twelve people in our group.",
        ),
    ),
    Topic(
        "series",
        "series",
        "watched",
        "trailer",
        "story, characters, jokes, acting, music, first episode",
        (
            "There are eight episodes so far.",
            "We watched it over the holidays.",
            "It is about a family of lawyers.",
            "Each episode lasts half an hour.",
        ),
    ),
    Topic(
        "pizzeria",
        "pizzerias",
        "tried",
        "menu at the door",
        "pizza, salad, service, wine, garden, pasta",
        (
            "We were there on a Friday night.",
            "It has about ten tables.",
            "We ordered for the whole family.",
            "It is next to the cinema.",
        ),
    ),
    Topic(
        "exhibition",
        "exhibitions",
        "visited",
        "poster",
        "photographs, rooms, lighting, audio guide, selection, staff",
        (
            "It is open until the end of June.",
            "I went there during my lunch break.",
            "It fills two floors.",
            "We went there with our neighbours.",
        ),
    ),
    Topic(
        "tablet",
        "tablets",
        "used",
        "packaging",
        "screen, battery, speakers, pen, camera, software",
        (
            "I mainly use it for drawing.",
            "We bought it for the children.",
            "It arrived two weeks ago.",
            "It was a present from my parents.",
        ),
    ),
    Topic(
        "language course",
        "language courses",
        "taken",
        "brochure",
        "teacher, exercises, textbook, classroom, videos, pace",
        (
            "It lasted ten weeks.",
            "We met every Wednesday evening.",
            "I took it before my trip to Spain.",
            "There were eight of us in the class.",
        ),
    ),
)
