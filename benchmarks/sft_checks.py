"""Each task of `earmark build sft` derived again from the record: a check says what is wrong with an answer."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.sft_told import (
    BRANCHES,
    Told,
    asked_ms,
    bare,
    dense,
    differ,
    hundredths,
    in_row,
    is_there,
    name_said,
    quoted,
    same_thing,
    well,
)
from schemas.record import Fact

LANGUAGES = {"de": "German", "en": "English", "es": "Spanish", "fr": "French", "ja": "Japanese", "zh": "Chinese"}
KEYS = ("gender", "pitch", "speed", "volume", "age", "clarity", "fluency", "accent", "texture", "emotion", "tone")
KEYS = (*KEYS, "personality", "summary")

# ------------------------------------------------------------------------------------------------ speech


def sentences(told: Told) -> list[Fact]:
    speech = well(told.record, "speech")
    if speech is None:
        raise ValueError("there is no speech annotation that is well")
    facts = [f for f in speech.facts if f.kind == "transcript" and f.human]
    facts = facts or [f for f in speech.facts if f.kind == "transcript"]
    if any(not f.human and f.score < told.min_score for f in facts):
        raise ValueError("a sentence of it is not sure")
    return sorted(facts, key=lambda f: (f.start_ms, f.end_ms))


def bracketed(told: Told, items: list[Any], who: bool = False) -> str | None:
    pattern = r"\[(\d+\.\d\d)\]" + (r"\[(S\d+)\]" if who else "()") + r"(.+?)\[(\d+\.\d\d)\]"
    found = re.findall(pattern, told.answer)
    if "".join(f"[{a}]{f'[{s}]' if who else ''}{t}[{b}]" for a, s, t, b in found) != told.answer:
        return "it is not [start]text[end] throughout"
    expected = [
        (hundredths(told, i.start_ms), (i.speaker or "") if who else "", bare(i.text), hundredths(told, i.end_ms))
        for i in sorted(items, key=lambda i: (i.start_ms, i.end_ms))
    ]
    return differ(expected, [(a, s, bare(t), b) for a, s, t, b in found])


def check_transcribe(told: Told) -> str | None:
    return differ(bare("".join(f.text for f in sentences(told))), bare(told.answer))


def check_words(told: Told) -> str | None:
    expected = bare("".join(f.text for f in sentences(told)))
    words = told.record.branches.speech.words if told.record.branches.speech else ()
    if expected and expected != bare("".join(w.text for w in words)):
        return "words and sentences differ"
    return bracketed(told, list(words))


@dataclass
class Said:
    start_ms: int
    end_ms: int
    text: str
    speaker: str | None


def check_diarise(told: Told) -> str | None:
    facts = sentences(told)
    if facts and all(f.speaker for f in facts):
        return bracketed(told, list(facts), who=True)
    said: list[Said] = []
    words = told.record.branches.speech.words if told.record.branches.speech else ()
    for word in sorted(words, key=lambda w: (w.start_ms, w.end_ms)):
        if said and said[-1].speaker == word.speaker:
            said[-1].text += word.text
            said[-1].end_ms = max(said[-1].end_ms, word.end_ms)
        else:
            said.append(Said(word.start_ms, word.end_ms, word.text, word.speaker))
    return bracketed(told, said, who=True)


def listed(told: Told, items: list[tuple[int, int, str]]) -> str | None:
    expected = [f"{hundredths(told, a)} - {hundredths(told, b)}: {name_said(name)}" for a, b, name in sorted(items)]
    return differ(sorted(expected), sorted(told.answer.split("\n")))


def check_turns(told: Told) -> str | None:
    speech = well(told.record, "speech")
    return listed(told, [(t.start_ms, t.end_ms, t.speaker) for t in speech.turns] if speech else [])


def check_speakers(told: Told) -> str | None:
    speech = well(told.record, "speech")
    return differ(len({t.speaker for t in speech.turns}) if speech else 0, int(told.answer))


def check_language(told: Told) -> str | None:
    speech = well(told.record, "speech")
    return differ(LANGUAGES.get(speech.language or "") if speech else None, told.answer)


def check_lyrics(told: Told) -> str | None:
    music = well(told.record, "music")
    words = list(music.lyrics) if music else []
    if told.task == "lyrics_words":
        return bracketed(told, words)
    return differ(bare("".join(w.text for w in words)), bare(told.answer))


# ------------------------------------------------------------------------------------------------ sounds


def check_sound_at(told: Told) -> str | None:
    at = asked_ms(told)
    there = [(a, b, name) for a, b, name in in_row(told) if a <= at < b]
    if any(abs(edge - at) < 300 for a, b, _ in in_row(told) for edge in (a, b)):
        return "something begins or ends too near"
    return differ("; ".join(name for _, _, name in there), told.answer)


def one_name(told: Told, name: str) -> list[tuple[int, int]]:
    """The runs of a name that nothing else in the record may be."""
    others = [other for other in told.runs if other != name] + [other for other, _, _ in told.vague]
    if any(same_thing(name, other) for other in others):
        raise ValueError(f"{name} may be another thing in the record too: {others}")
    return told.runs[name]


def check_when(told: Told) -> str | None:
    runs = one_name(told, quoted(told)[0])
    return differ(", ".join(f"{hundredths(told, a)} - {hundredths(told, b)}" for a, b in runs), told.answer)


def check_count(told: Told) -> str | None:
    runs = one_name(told, quoted(told)[0])
    if any(b[0] - a[1] < 300 for a, b in pairwise(runs)):
        return "two times are too near to be told apart"
    return differ(len(runs), int(told.answer))


def check_first_of_two(told: Told) -> str | None:
    starts = {name: one_name(told, name)[0][0] for name in quoted(told)}
    if len(starts) != 2 or abs(max(starts.values()) - min(starts.values())) <= 500:
        return f"{starts} are not two that begin apart"
    return differ(min(starts, key=lambda name: starts[name]), told.answer)


def check_order(told: Told) -> str | None:
    row = in_row(told)
    if told.task in ("first", "last", "second"):
        place = {"first": 0, "second": 1, "last": len(row) - 1}[told.task]
    else:
        mine = [i for i, (_, _, name) in enumerate(row) if name == quoted(told)[0]]
        if len(mine) != 1:
            return "what it is asked of is heard several times, or never"
        place = mine[0] + (1 if told.task == "after" else -1)
    if place < 0:
        return "there is nothing before it"
    near = [abs(row[i][0] - row[place][0]) for i in (place - 1, place + 1) if 0 <= i < len(row)]
    if told.task in ("first", "second", "last") and min(near) <= 500:
        return "two begin together"
    return differ(row[place][2], told.answer)


def check_timeline(told: Told) -> str | None:
    return listed(told, in_row(told))


# ---------------------------------------------------------------------------------------------- captions


def check_caption(told: Told) -> str | None:
    caption = told.record.caption
    if not caption.claims or any(not is_there(told.record, e) for c in caption.claims for e in c.evidence):
        return "a claim of it has no evidence of a branch that is well"
    return differ(dense(caption.text), dense(told.answer))


def check_branch_caption(told: Told) -> str | None:
    branch = told.task.removeprefix("caption_")
    said = well(told.record, branch)
    if said is None:
        return "the branch is not well"
    own = "" if branch == "speech" else " ".join(c.text for c in told.record.caption.claims if c.branch == branch)
    return differ(dense(said.caption or own), dense(told.answer))


def check_voice(told: Told) -> str | None:
    speech = well(told.record, "speech")
    if speech is None:
        return "the branch is not well"
    index = int(told.evidence[0].rpartition("/")[2])
    speaker, body = speech.speakers[index], json.loads(told.answer)
    keys = list(KEYS)
    if list(body) != keys:
        return f"its keys are {list(body)}"
    for key in keys:
        if dense(getattr(speaker.description, key)) != dense(body[key]):
            return f"{key} is {body[key]!r}"
    if told.task == "speech_caption":
        names = {t.speaker for t in speech.turns} | {s.name for s in speech.speakers}
        return None if len(names) == 1 else "several speak"
    begins = min(t.start_ms for t in speech.turns if t.speaker == speaker.name)
    others = [t.start_ms for t in speech.turns if t.speaker != speaker.name]
    if any(abs(begins - other) <= 500 for other in others):
        return "another begins at the same time"
    return differ((begins - told.record.start_ms + 5) // 10 * 10, asked_ms(told) - told.record.start_ms)


# ------------------------------------------------------------------------------------------------- music


def music_of(told: Told) -> Any:
    music = well(told.record, "music")
    if music is None:
        raise ValueError("there is no music annotation that is well")
    return music


def check_music_fact(told: Told) -> str | None:
    music = music_of(told)
    if told.task == "tempo":
        number = int(re.fullmatch(r"(\d+) BPM", told.answer)[1])  # type: ignore[index]
        return None if abs(number - music.tempo_bpm) <= 0.5 else f"the record says {music.tempo_bpm}"
    if told.task == "instruments":
        names = {name_said(one.label) for one in music.instruments if one.score >= told.min_score}
        return differ(names, set(told.answer.split("; ")))
    return differ(dense(getattr(music, told.task)), dense(told.answer))


def check_chord_at(told: Told) -> str | None:
    at = asked_ms(told)
    there = [c for c in music_of(told).chords if c.start_ms <= at < c.end_ms]
    if len(there) != 1 or min(at - there[0].start_ms, there[0].end_ms - at) < 300:
        return "there is no one chord well around that moment"
    return differ(there[0].name, told.answer)


def check_parts(told: Told) -> str | None:
    music = music_of(told)
    if told.task == "chords":
        return listed(told, [(c.start_ms, c.end_ms, c.name) for c in music.chords])
    return listed(told, [(s.start_ms, s.end_ms, s.label) for s in music.sections])


# ----------------------------------------------------------------------------------------------- choices


def options(told: Told) -> tuple[str, list[str]]:
    """The right option and the others."""
    found = dict(re.findall(r"^([A-D])\. (.+)$", told.question, re.MULTILINE))
    if told.answer not in found or len(set(found.values())) != len(found) or list(found) != sorted(found):
        raise ValueError(f"the options are {found}")
    return found[told.answer], [name for letter, name in found.items() if letter != told.answer]


def check_choice_present(told: Told) -> str | None:
    right, others = options(told)
    if right not in told.runs or len(others) != 3:
        return f"{right} is not surely heard"
    labels = [event.label for event in told.record.events]
    texts = [told.record.caption.text]
    for name in BRANCHES:
        said = getattr(told.record.branches, name)
        labels += [fact.label for fact in said.facts if fact.label] if said else []
        texts += [said.text, *(fact.text for fact in said.facts)] if said and name != "speech" else []
    text = " ".join(texts).lower()
    for other in others:
        if any(same_thing(other, label) for label in labels):
            return f"{other} is heard too"
        if any(re.search(rf"\b{re.escape(word)}\b", text) for word in re.findall(r"[a-z]{4,}", other.lower())):
            return f"{other} is spoken of in the record"
    return None


def check_choice_first(told: Told) -> str | None:
    right, others = options(told)
    start = one_name(told, right)[0][0]
    early = [other for other in others if one_name(told, other)[0][0] - start <= 500]
    return f"{early} do not begin later" if early else None


def check_choice_count(told: Told) -> str | None:
    right, others = options(told)
    number = len(one_name(told, quoted(told)[0]))
    return differ(str(number), right) or (f"{number} is among the others" if str(number) in others else None)


def check_absence(told: Told) -> str | None:
    branch = told.task.removeprefix("no_")
    said = getattr(told.record.branches, branch)
    profile = getattr(told.record.profile, branch)
    if said is None or said.outcome != "skipped" or said.facts or profile >= 0.05:
        return f"the record is not sure: {said and said.outcome}, {profile}"
    if any(same_thing(event.label, branch.capitalize()) for event in told.record.events):
        return "an event says otherwise"
    return None if told.answer.startswith(("Nobody speaks", "There is no music")) else "it is no such answer"


CHECKS: dict[str, Callable[[Told], str | None]] = {
    "transcribe": check_transcribe,
    "transcribe_sentences": lambda told: bracketed(told, list(sentences(told))),
    "transcribe_words": check_words,
    "diarise": check_diarise,
    "turns": check_turns,
    "speakers": check_speakers,
    "language": check_language,
    "lyrics": check_lyrics,
    "lyrics_words": check_lyrics,
    "sound_at": check_sound_at,
    "when": check_when,
    "count": check_count,
    "first_of_two": check_first_of_two,
    **dict.fromkeys(("first", "second", "last", "before", "after"), check_order),
    "timeline": check_timeline,
    "caption": check_caption,
    **dict.fromkeys(("caption_speech", "caption_sound", "caption_music"), check_branch_caption),
    **dict.fromkeys(("speech_caption", "speech_caption_of"), check_voice),
    **dict.fromkeys(("tempo", "meter", "key", "instruments"), check_music_fact),
    "chord_at": check_chord_at,
    **dict.fromkeys(("chords", "sections"), check_parts),
    "choice_present": check_choice_present,
    "choice_first": check_choice_first,
    "choice_count": check_choice_count,
    **dict.fromkeys(("no_speech", "no_music"), check_absence),
}
