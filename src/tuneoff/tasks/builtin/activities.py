"""What the people in the dialogues plan: activities with their places, and who, when and why not."""

from dataclasses import dataclass

NAMES = (
    "Adam Alice Amy Anna Ben Carla Chris Clara Daniel Emily Emma Erik Eva Felix Frank Grace Hanna Helen Jack "
    "Jane Julia Karim Kate Laura Leo Linda Lucy Maria Mark Max Mia Nina Nora Omar Oscar Paul Peter Rosa Sam "
    "Sara Simon Sofia Tim Tom Vera"
)
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
DAYTIME = ("9", "9:30", "10", "10:30", "11", "noon", "1", "2", "2:30", "3", "3:30", "4")
EVENING = ("5", "5:30", "6", "6:30", "7", "7:30", "8", "8:30")

REASONS = (
    # each fits "On Friday ..." and "because ..."
    "I have to work",
    "I have a dentist's appointment",
    "my parents are visiting",
    "I'm helping my sister move",
    "I promised to look after my nephew",
    "I have my piano lesson",
    "my car is at the garage",
    "I have an exam",
    "I'm picking up my aunt from the airport",
    "I have to take the cat to the vet",
)


@dataclass(frozen=True)
class Activity:
    """Something to do together."""

    do: str
    doing: str
    places: tuple[str, str, str]
    items: tuple[str, str]
    """What somebody brings."""
    hours: tuple[str, ...] = DAYTIME


ACTIVITIES = (
    Activity(
        "have a picnic",
        "having a picnic",
        ("in the park", "by the lake", "on the castle hill"),
        ("the blanket", "the lemonade"),
    ),
    Activity(
        "go bowling",
        "going bowling",
        ("at the old bowling alley", "at the sports centre", "at the shopping centre"),
        ("the snacks", "the vouchers"),
        EVENING,
    ),
    Activity(
        "play tennis",
        "playing tennis",
        ("at the club", "on the school courts", "in the park"),
        ("the rackets", "the balls"),
    ),
    Activity(
        "go swimming",
        "going swimming",
        ("at the lake", "at the indoor pool", "at the open-air pool"),
        ("the towels", "the goggles"),
    ),
    Activity(
        "play chess",
        "playing chess",
        ("at the library", "at the corner café", "in the park"),
        ("the board", "the clock"),
    ),
    Activity(
        "bake a cake",
        "baking a cake",
        ("in the school kitchen", "in the church kitchen", "at the youth club"),
        ("the eggs", "the flour"),
    ),
    Activity(
        "watch the match",
        "watching the match",
        ("at the sports bar", "at the pub", "at the student club"),
        ("the scarves", "the flags"),
        EVENING,
    ),
    Activity(
        "have a barbecue",
        "having a barbecue",
        ("by the river", "in the garden", "at the campsite"),
        ("the charcoal", "the salad"),
        EVENING,
    ),
    Activity(
        "go hiking",
        "going hiking",
        ("in the Black Valley", "on Eagle Hill", "in the national park"),
        ("the map", "the sandwiches"),
    ),
    Activity(
        "fly kites",
        "flying kites",
        ("on the beach", "on the big meadow", "on the old airfield"),
        ("the kites", "the string"),
    ),
    Activity(
        "rehearse the play",
        "rehearsing the play",
        ("in the town hall", "in the gym", "at the theatre"),
        ("the costumes", "the scripts"),
        EVENING,
    ),
    Activity(
        "practise the songs",
        "practising the songs",
        ("at the music school", "in the church", "at the community centre"),
        ("the sheet music", "the stands"),
        EVENING,
    ),
    Activity(
        "study for the exam",
        "studying for the exam",
        ("at the library", "in the canteen", "at the corner café"),
        ("the notes", "the textbook"),
    ),
    Activity(
        "repair the bikes",
        "repairing the bikes",
        ("at the workshop", "in the courtyard", "at the bike shop"),
        ("the tools", "the spare tyres"),
    ),
    Activity(
        "play football",
        "playing football",
        ("in the park", "at the stadium", "on the school field"),
        ("the ball", "the shirts"),
    ),
    Activity(
        "play basketball",
        "playing basketball",
        ("in the gym", "at the youth club", "on the court by the station"),
        ("the ball", "the whistle"),
        EVENING,
    ),
    Activity(
        "go fishing",
        "going fishing",
        ("at the pond", "by the river", "on the pier"),
        ("the rods", "the folding chairs"),
    ),
    Activity(
        "play cards",
        "playing cards",
        ("at the pub", "at the corner café", "in the common room"),
        ("the cards", "the score sheet"),
        EVENING,
    ),
    Activity(
        "pick strawberries",
        "picking strawberries",
        ("at the farm", "on the field by the mill", "in the big garden"),
        ("the baskets", "the sun cream"),
    ),
    Activity(
        "sell cakes",
        "selling cakes",
        ("at the flea market", "at the school fair", "at the station"),
        ("the cash box", "the napkins"),
    ),
    Activity(
        "paint the banner",
        "painting the banner",
        ("in the art room", "in the courtyard", "at the youth club"),
        ("the brushes", "the paint"),
    ),
    Activity(
        "film the interview",
        "filming the interview",
        ("at the studio", "in the library", "in the museum"),
        ("the camera", "the microphone"),
    ),
    Activity(
        "take photos",
        "taking photos",
        ("at the harbour", "in the old town", "at the botanical garden"),
        ("the tripod", "the lamps"),
    ),
    Activity(
        "go ice skating",
        "going ice skating",
        ("at the ice rink", "on the frozen lake", "at the stadium"),
        ("the gloves", "the hot tea"),
    ),
    Activity(
        "plant the trees",
        "planting the trees",
        ("in the schoolyard", "behind the church", "in the new park"),
        ("the spades", "the watering can"),
    ),
    Activity(
        "cook for the party",
        "cooking for the party",
        ("in the canteen", "at the community centre", "in the school kitchen"),
        ("the vegetables", "the big pots"),
        EVENING,
    ),
    Activity(
        "have breakfast",
        "having breakfast",
        ("in the park", "by the lake", "at the campsite"),
        ("the rolls", "the orange juice"),
        DAYTIME[:5],
    ),
    Activity(
        "play volleyball",
        "playing volleyball",
        ("on the beach", "at the sports centre", "at the open-air pool"),
        ("the net", "the water bottles"),
    ),
    Activity(
        "watch the stars",
        "watching the stars",
        ("on the castle hill", "on the big meadow", "at the observatory"),
        ("the telescope", "the warm blankets"),
        EVENING[5:],
    ),
    Activity(
        "clean the boat",
        "cleaning the boat",
        ("at the harbour", "at the boathouse", "on the island"),
        ("the sponges", "the bucket"),
    ),
    Activity(
        "play board games",
        "playing board games",
        ("at the library", "at the games café", "in the common room"),
        ("the games", "the crisps"),
        EVENING,
    ),
    Activity(
        "practise the talk",
        "practising the talk",
        ("in the lecture hall", "at the town library", "in the museum"),
        ("the slides", "the laptop"),
    ),
    Activity(
        "go climbing",
        "going climbing",
        ("at the climbing hall", "in the quarry", "on the rocks by the river"),
        ("the ropes", "the helmets"),
    ),
    Activity(
        "learn the dance steps",
        "learning the dance steps",
        ("at the dance school", "in the gym", "in the ballroom"),
        ("the speaker", "the playlist"),
        EVENING,
    ),
    Activity(
        "hand out leaflets",
        "handing out leaflets",
        ("at the market", "at the station", "in front of the town hall"),
        ("the leaflets", "the posters"),
    ),
    Activity(
        "celebrate the victory",
        "celebrating the victory",
        ("at the pizzeria", "at the club", "in the beer garden"),
        ("the cup", "the balloons"),
        EVENING,
    ),
    Activity(
        "decorate the hall",
        "decorating the hall",
        ("at the school", "at the community centre", "at the fire station"),
        ("the ladder", "the lanterns"),
    ),
    Activity(
        "welcome the new neighbours",
        "welcoming the new neighbours",
        ("in the courtyard", "at the corner café", "in the garden"),
        ("the flowers", "the cake"),
        EVENING,
    ),
    Activity(
        "feed the ducks",
        "feeding the ducks",
        ("at the pond", "by the lake", "in the castle park"),
        ("the oats", "the camera"),
    ),
    Activity(
        "sing carols",
        "singing carols",
        ("at the hospital", "on the market square", "in the church"),
        ("the candles", "the song books"),
        EVENING,
    ),
    Activity(
        "play table tennis",
        "playing table tennis",
        ("at the youth club", "in the park", "in the school basement"),
        ("the bats", "the net"),
        EVENING,
    ),
    Activity(
        "collect mushrooms",
        "collecting mushrooms",
        ("in the forest", "behind the monastery", "in the national park"),
        ("the knives", "the guidebook"),
    ),
    Activity(
        "record the song",
        "recording the song",
        ("at the studio", "in the rehearsal room", "at the music school"),
        ("the guitar", "the headphones"),
        EVENING,
    ),
    Activity(
        "wash the cars",
        "washing the cars",
        ("at the petrol station", "at the fire station", "in the school car park"),
        ("the sponges", "the shampoo"),
    ),
    Activity(
        "train for the race",
        "training for the race",
        ("at the stadium", "in the forest", "along the canal"),
        ("the stopwatch", "the water bottles"),
    ),
)
