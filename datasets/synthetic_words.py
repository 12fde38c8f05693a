"""The vocabulary of the synthetic world: sentiment words with a long tail, and words that say nothing.

Sentiment words come in lists ordered from common to rare, one list a class (negative, neutral, positive) and kind.
Beside the real words stand coined ones, the world's slang: rare, meaningless outside it, and learnable only from the
company that they keep.
"""

from __future__ import annotations

import re
from itertools import chain

from datasets.seeds import generator
from datasets.synthetic_draws import pick

_SLANG_WORDS = 200  # per class

_ADJECTIVES = (
    """bad sad terrible awful horrible boring ugly disappointing annoying broken dirty rude gross stupid
    painful scary nasty lame depressing miserable lousy dreadful tragic toxic cruel gloomy dull bitter
    rotten useless pathetic hopeless vile grim ghastly shoddy filthy hostile tedious bleak dismal
    abysmal atrocious appalling horrid insulting infuriating shameful sickening soulless stale sloppy
    tasteless unbearable unfair unsafe vicious wretched dodgy mouldy overpriced rancid repulsive
    spiteful heartbreaking alarming exhausting frustrating cringe trashy tacky creepy dire woeful shabby
    sour sinister harrowing pitiful crummy menacing joyless""",
    """usual regular standard local public average weekly normal scheduled typical official daily ordinary
    monthly available digital common plain general current annual routine temporary central printed
    expected moderate external internal provisional municipal regional unchanged updated numbered
    revised listed postponed relocated administrative seasonal technical statistical preliminary
    adjacent parallel grey rectangular medium midsize mid-priced archived bilingual wooden metallic
    paved secondary northern southern eastern western automated catalogued rescheduled registered
    sequential approximate quarterly procedural documented formatted enclosed equivalent intermediate
    unlisted upgraded alphabetical modular nominal residential coastal tabular""",
    """good happy great beautiful amazing awesome lovely fun perfect wonderful fantastic cute sweet nice
    excellent brilliant gorgeous delicious cool stunning incredible adorable charming delightful superb
    magical inspiring joyful cheerful splendid marvellous glorious fabulous terrific graceful heavenly
    majestic dazzling radiant vibrant uplifting heartwarming refreshing cosy friendly generous thrilling
    hilarious witty sublime stellar exquisite flawless dreamy blissful breathtaking enchanting epic
    exciting fresh golden legendary luscious nifty outstanding peachy phenomenal pleasant priceless
    satisfying serene spotless sparkling tasty triumphant tender soothing snazzy swell top-notch
    unbeatable wholesome yummy""",
)
_VERBS = (
    """hated disliked regretted despised missed cursed dreaded loathed hated-on resented abandoned deplored
    detested returned complained-about walked-out-on suffered-through gave-up-on cried-over
    wasted-money-on""",
    """saw visited checked attended noticed passed photographed measured counted recorded reviewed compared
    looked-up read-about walked-past asked-about signed-up-for stopped-at queued-for filed""",
    """loved enjoyed adored liked treasured celebrated cherished admired praised relished savoured
    applauded fell-for laughed-through danced-at cheered-for smiled-at went-back-for dreamed-of cuddled""",
)
_NOUNS = (
    """mess disaster shame failure nightmare joke letdown waste tragedy rip-off scam horror fiasco
    catastrophe trainwreck insult heartbreak misery torture garbage blunder eyesore outrage flop
    dumpster-fire headache""",
    """update report schedule notice meeting summary announcement list queue overview map form reminder
    agenda timetable survey statement leaflet bulletin inventory memo index registry briefing draft
    checklist""",
    """joy treat blessing win dream success delight triumph gem masterpiece miracle pleasure treasure
    celebration highlight wonder paradise victory beauty gift jackpot sunshine legend bliss keeper
    game-changer""",
)
_INTERJECTIONS = (
    """ugh smh ffs yikes damn nope meh boo argh sigh wtf gah bleh grr ew alas oof blah jeez pfft""",
    """fyi psa btw update: note: nb: memo: info: re: reminder: today: now: status: log: edit: source:
    via: asof""",
    """yay wow woohoo yes omg yesss woot hooray bravo cheers hurray aww haha wooo yippee whoop wheee ta-da
    hallelujah ole""",
)
_TAGS = (
    """fail sad angry worst disappointed badday heartbroken stress crying hate monday rant tired lonely
    fedup neveragain sick gutted ruined nothanks facepalm letdown broken stressed refund""",
    """news info update weather traffic photo local report today event schedule city data work travel
    statistics transport notice history research archive map agenda livefeed nowplaying""",
    """love happy blessed fun beautiful goodvibes smile win friends grateful yum bestday party sunshine
    lovely proud celebrate joy thankful weekendvibes inlove dreamcometrue paradise winning happydance""",
)
_EMOJI = (
    "😢 😡 😞 👎 💔 😭 😠 😩 😒 😖 😣 😤 😨 😫 😰 😿".split(),
    "📍 📷 📰 📅 😐 📌 😶 📊 📎 🚌 📝 📦 🔗 🕒 🗂 📠".split(),
    "😍 😂 😀 😊 👍 🎉 💕 😁 🥰 😎 😄 😃 😆 😇 😋 😻".split(),
)

# How loudly a text speaks: the cue of which modality decides where the two contradict.
INTENSIFIERS = """so really absolutely totally sooo completely truly utterly seriously 100% literally super insanely
extremely freaking hella mad deeply clearly definitely""".split()
HEDGES = """maybe|i guess|kinda|sort of|not sure but|perhaps|possibly|a bit|somewhat|slightly|
could be wrong but|apparently|or so they say|if you ask me|i suppose|more or less""".replace("\n", "").split("|")
SARCASM = """yeah right|thanks for nothing|just what i needed|oh great|slow clap|so that happened|🙄|/s|#sarcasm|
#not|cheers for that|how very typical|what could go wrong|lucky me|bravo geniuses|as if""".replace("\n", "").split("|")

TOPICS = """match coffee concert train phone movie dinner beach office garden party exam meeting hotel flight
museum bakery bridge library stadium market street laptop camera playlist episode lecture haircut
pizza burger salad bus ride workout marathon puppy kitten sunset river mountain lake trail festival
parade wedding birthday sermon podcast recipe jacket dress sneakers guitar drums choir novel
painting sculpture exhibition elevator parking-lot airport ferry tram bicycle scooter neighbourhood
kitchen balcony rooftop classroom homework interview shift project keynote server website app
update-screen gym pool campsite tent barbecue breakfast lunch dessert smoothie tea soup noodles
sushi taco""".split()
PLACES = """leeds boston osaka lagos lima quito oslo pisa nairobi dublin austin denver lisbon porto seville
ghent bergen turin krakow prague vienna graz zurich basel lyon nantes bristol york bath derby hull
cardiff tulsa fresno omaha reno tampa toledo memphis dallas toronto calgary ottawa perth hobart
cairns auckland pune delhi jaipur hanoi busan taipei manila cebu accra dakar tunis cairo izmir bursa
minsk riga""".split()
TIMES = """today|tonight|this morning|this afternoon|yesterday|last night|on monday|on tuesday|on wednesday|
on thursday|on friday|this weekend|at noon|at midnight|after work|before class|during lunch|
in the rain|all day|since may|this june|around seven|at dawn|after school|between meetings|
over easter|last week|in august|for an hour|just now""".replace("\n", "").split("|")
NAMES = """anna ben carla dmitri ella farid gina hugo ines jamal kate liam mona nils olga pavel quinn rosa sam
tara umar vera will xena yusuf zoe amir bella cyrus diego erin fatima greta hans irene jonas kira
leo maya noah oscar petra ravi sofia theo ursula viktor wendy yara zane aisha bruno celia dana emil
flora""".split()
FILLERS = """with {name} and {name} near {place}|on the way to {place} with {name}|
{name} from {place} was there too|{name} took the picture in {place}|ask {name} about {place}|
then {number} stops to {place} with {name}|{name} and me, {number} people from {place}|
seat {number} next to {name}, {place} side|{name} sent this from {place}, number {number}|
back in {place} by {number} with {name}|part {number} of the {place} trip with {name}|
{number} photos from {place}, more from {name} later|{name} drove {number} miles from {place}|
waiting for {name} at {place} gate {number}""".replace("\n", "").split("|")
OPENERS = """so|ok|well|today i learned|news from {place}:|dear diary|hey {name}|guys|listen|just saying|
random thought:|not kidding|one fact:|story time:|{name} asked,|as promised:|meanwhile in {place}|
quick one:""".replace("\n", "").split("|")
NOISE_WORDS = """table window corner paper yellow blue seven blanket lamp pencil cloud engine ladder carpet bottle
bucket hallway button ticket pocket zebra copper magnet velvet lemon anchor basket candle feather
hammer island jungle kettle marble napkin orbit pepper quartz ribbon saddle tunnel umbrella violin
walnut yarn zipper acorn bamboo cactus domino elbow fossil gravel helmet iguana jigsaw ketchup
locker mitten nugget otter parsley quiver raft sponge thimble""".split()
PLAIN_TAGS = """tbt photooftheday instagood nofilter throwback me selfie ootd picoftheday throwbackthursday 2014 rt
follow tweet pic love2travel foodpic streetview random life""".split()
PLAIN_EMOJI = "👀 🤔 🙏 💯 🔥 🌍 🏠 🚗 🎵 🍕 ☕ 🐶 🌙 ⭐".split()

ADJECTIVES = tuple(words.split() for words in _ADJECTIVES)
VERBS = tuple([word.replace("-", " ") for word in words.split()] for words in _VERBS)
NOUNS = tuple(words.split() for words in _NOUNS)
INTERJECTIONS = tuple(words.split() for words in _INTERJECTIONS)
EMOJI = _EMOJI

_KNOWN = set(
    re.findall(
        "[a-z]+",
        " ".join(
            chain(*ADJECTIVES, *VERBS, *NOUNS, *INTERJECTIONS, _TAGS, INTENSIFIERS, HEDGES, SARCASM, TOPICS, PLACES)
        )
        + " ".join(chain(TIMES, NAMES, FILLERS, OPENERS, NOISE_WORDS, PLAIN_TAGS)),
    )
)


def _coined(label: int) -> list[str]:
    """The slang of one class: pronounceable words that are nowhere else in the vocabulary."""
    rng = generator(label, "world slang")
    starts = "b bl br ch d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sk sl sn sp st t tr v w y z zw".split()
    middles = "a e i o u oo ee ai ou y".split()
    ends = "b ck d ff g k ll m mp n nk p rf rp sh sk t v x z zz".split()
    tails = ["", "", "y", "o", "ish", "er", "a", "ed", "le"]
    words = (pick(rng, starts) + pick(rng, middles) + pick(rng, ends) + pick(rng, tails) for _ in range(5000))
    mine = [word for word in dict.fromkeys(words) if sum(map(ord, word)) % 3 == label]
    mine = [word for word in mine if len(word) > 3 and word not in _KNOWN]
    return mine[:_SLANG_WORDS]  # the sum of the letters keeps the three lists apart


SLANG = tuple(_coined(label) for label in range(3))
TAGS = tuple([*tags.split(), *slang[::2]] for tags, slang in zip(_TAGS, SLANG, strict=True))
