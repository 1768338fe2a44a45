"""Which words a caption may hold beside those of its evidence, and which stand for one another.

The lists are closed and were read word by word: a word is here because it claims nothing that could be false of a
sound, or because what it claims is checked elsewhere (time, order, extent, number).
"""

from annotators.merging.words import words_of

FUNCTION = words_of("""
    a an the this that these those it its itself they them their which who whose what
    at from to for of in on by with over under through into onto out between within along per
    and or but while as when where until till during then before after meanwhile amid alongside so
    is are was were be been being has have had having can may
    hear heard hears hearing audible audibly recording clip segment audio excerpt sound sounds sounding
    begin begins began begun beginning start starts started starting end ends ended ending stop stops stopped stopping
    finish finishes finished finishing cease ceases ceased
    last lasts lasted lasting continue continues continued continuing remain remains remaining stay stays staying
    occur occurs occurred occurring happen happens happened happening appear appears appeared appearing
    come comes came coming followed
    feature features featured featuring contain contains containing include includes including
    accompany accompanies accompanied accompanying present mark marked marks characterized characterised
    there here about around approximately roughly also too just still
    throughout entire entirely whole initially finally eventually outset
    later afterwards afterward subsequently next together simultaneously concurrently
    time point moment moments stretch span whereupon thereafter which duration
    s sec secs second seconds min mins minute minutes ms
    """)
"""Words that join, and those of captions as such."""

OF_A_NOTE = frozenset({"major", "minor", "sharp", "flat"})
COPULAS = words_of("is are was were be been being sound sounds has have remains stays which that who")
HEDGES = words_of("about around approximately roughly nearly")
NEGATIONS = words_of(
    "no not nobody none never neither nor nothing nowhere without cannot hardly barely scarcely rarely seldom"
)
DENIALS = words_of(
    "instead rather unlike except excluding lack lacks lacking absent absence fail fails refuse refuses deny denies "
    "false fake hardly barely scarcely"
)

BEGINNING = words_of("begin begins began beginning start starts started starting")
ENDING = words_of("end ends ended ending stop stops stopped stopping finish finishes ceases ceased")
THROUGHOUT = words_of("throughout entire entirely whole")
AT_FIRST = words_of("initially outset")
AT_LAST = words_of("finally eventually")
IN_TURN = words_of("then followed later afterwards afterward subsequently next thereafter")
AT_ONCE = words_of("while as during over under amid alongside meanwhile together simultaneously concurrently")
CLAUSES = words_of("and but while as then before after when during over under amid alongside followed with")

PERSONS = words_of("speaker voice person people talker")
PERSON_NOUNS = words_of("speakers voices persons people talkers men women children boys girls males females")
OTHERS = words_of("another other different")
REPORTING = words_of(
    "says said say saying mentions mention mentioning mentioned states stating about of asks asking that"
)
SAYING = words_of(
    "says said say saying states stated stating asks asked asking utters utter speaks words sings sing singing line"
)

KIND_WORDS = {
    "transcript": "speaker speak say voice someone somebody person talk speech state utter mention word line phrase",
    "voice": "speaker speak voice someone somebody person talk speech pitch pitched pace",
    "voices": "speaker speak voice person people talk speech turn take alternate exchange conversation",
    "pause": "pause silence silent gap",
    "overlap": "speaker speak voice person people talk speech overlap once same",
    "music": "music musical play run piece",
    "tempo": "music musical play run piece tempo pace beat",
    "meter": "music musical play run piece meter bar",
    "key": "music musical play run piece key",
    "chords": "music musical play run piece chord progression harmony use move",
    "sections": "music musical play run piece section part form structure fall",
    "dynamics": "music musical play run piece level dynamic volume loudness keep hold",
    "lyrics": "sing singer song vocal voice lyric word line phrase someone",
    "instrument": "music musical play run piece instrument",
    "instruments": "music musical play run piece instrument",
}
"""What a fact of this kind lets one say, whatever its words."""

BRANCH_WORDS = {
    "speech": "speaker speak voice someone somebody person talk speech",
    "sound": "",
    "music": "music musical play run piece",
}
"""The same for kinds that are not known here."""

NEGATED_BY_KIND = {"pause": "speak talk say speech voice word"}
HEARD_KINDS = frozenset({"transcript", "lyrics"})  # their words were heard: in a caption they stand in quotation marks
UNTIMED_KINDS = frozenset({"caption"})  # their span is the segment's; what they tell of may be anywhere in it
SINGLE_KINDS = words_of("tempo meter key dynamics language gender age emotion accent genre mood music_key")
"""Of these only one can be true of a voice, or of the music, at a time."""

SYNONYMS = tuple(
    frozenset(group.split())
    for group in (
        "man male he his him",
        "woman female she her hers",
        "speak talk",
        "fast quick rapid brisk",
        "slow unhurried",
        "quiet soft",
        "faint weak",
        "steady constant even stable",
        "rise climb ascend",
        "fall descend drop",
        "short brief",
        "low deep",
        "medium mid moderate",
        "broadband wideband",
        "uneven irregular",
        "interval gap",
        "hz hertz",
        "beat bpm",
        "minute bpm",
        "word wpm",
        "minute wpm",
        "db decibel decibels",
        "happy cheerful joyful",
        "angry furious",
        "calm relaxed",
        "loud strong",
        "laugh laughter",
        "applause applaud",
        "engine motor",
        "footstep step",
        "hum humming",
        "hiss hissing",
        "tone tonal",
        "music musical",
        "pitch pitched",
        "chord harmony",
        "section part",
        "tempo pace",
        "grow increase get become",
        "away out",
        "turn alternate",
        "song sing singing vocal",
        "nobody no-one",
        "noise noisy",
        "rhythm rhythmic",
        "melody melodic",
    )
)
"""Each says the same as the others of its row, of a sound; reviewed row by row."""

TYPICAL = {
    "rain": "fall",
    "siren": "wail",
    "bell": "ring",
    "telephone": "ring",
    "doorbell": "ring",
    "horn": "honk",
    "wind": "blow",
    "waves": "break",
    "engine": "run",
}
"""What things do that can do nothing else, as far as it is heard."""

REPLIES = frozenset({"reply", "respond", "answer"})
METERS = {"four": "4/4", "three": "3/4", "six": "6/8"}
OF_A_MOMENT = frozenset({"transcript", "lyrics", "pause", "overlap", "voices"})
"""Kinds of speech that are not how a voice is: what they tell holds in their own time alone."""

PHRASES = {("die", "away"): "fade", ("at", "once"): "simultaneous overlap overlapping", ("take", "turn"): "alternate"}
"""What a phrase of a fact may be called in one word."""

VERBS = words_of("""
    bark meow growl howl whimper purr hiss moo neigh bray oink bleat baa cluck crow quack gobble honk chirp tweet squawk
    coo caw hoot buzz croak roar ring chime toll tick knock tap slam squeak creak rattle clatter click clang bang thump
    thud splash drip pour gurgle bubble whistle hum rumble roar drone whir beep hoot wail blare crackle pop rustle
    whoosh swish scrape scratch crunch grind drill hammer saw saws burst speak talk say laugh giggle cry sob scream
    shout yell whisper cough sneeze sniff snore breathe gasp sigh groan grunt sing clap cheer applaud play run rise fall
    grow die pause overlap turn take alternate state utter mention use move keep hold fade strum pluck get become
    increase sound pass idle accelerate rev skid explode shatter break snap rip tear patter howl blow rain thunder
    reply respond answer ask wail sizzle fry boil chop type vibrate sing hum chant rap yodel bellow
    """)
"""Of these the form with an s need not be more than one."""

OF_SEVERAL = words_of("are were have occur begin start continue stop end appear come sound ring")
"""Verbs whose subject is more than one."""

ATTRIBUTES = {
    "gender": "man men woman women male female boy girl lady gentleman guy he she his her him feminine masculine",
    "age": "young old elderly child children kid baby infant teenage teenager adult aged toddler youth",
    "emotion": "happy sad angry calm excited cheerful nervous afraid fearful joyful furious anxious emotional tense "
    "upset melancholic surprised disgusted bored enthusiastic gloomy tender proud",
    "language": "english french german spanish italian chinese mandarin japanese korean russian arabic hindi "
    "portuguese dutch polish turkish swedish accent accented bilingual",
    "key": "major minor sharp flat key dorian mixolydian lydian phrygian",
    "instrument": "piano guitar violin drum drums bass cello flute trumpet saxophone organ harp clarinet synthesizer "
    "keyboard banjo ukulele trombone strings brass percussion harmonica accordion",
    "genre": "jazz rock pop classical folk blues metal electronic techno hip-hop reggae country funk soul orchestral "
    "ambient disco punk",
    "place": "indoors outdoors room street background foreground distance distant nearby far near kitchen office",
}
"""For the reason alone: a word that no evidence holds is refused whether it is here or not."""

ATTRIBUTE_OF = {word: name for name, words in ATTRIBUTES.items() for word in words.split()}
SOUND_WORDS = words_of("""
    gunfire gunshots canine feline hound puppy kitten explosion blast crash scream screaming shout footsteps knocking
    doorbell siren alarm thunder rainfall storm wind breeze traffic car truck train airplane helicopter engine dog cat
    bird birdsong birds crow rooster horse cow insect cricket frog applause laughter crying cough sneeze whistle
    whistling clap clapping cheering crowd chatter glass shattering fireworks hammering drilling typing water waves
    """)


def with_synonyms(stems: frozenset[str]) -> frozenset[str]:
    """The stems, and those that say the same; a synonym of a synonym says it no more."""
    return stems.union(*(group for group in SYNONYMS if group & stems))
