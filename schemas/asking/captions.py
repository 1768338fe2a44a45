"""The caption of the whole, each branch's own, and descriptions of voices."""

from schemas.asking.sample import AskRules, TaskSample, line, paragraphs, second, speech_of
from schemas.asking.wordings import ask
from schemas.errors import SchemaError
from schemas.formats import speech_caption
from schemas.record import Branch, Outcome, Record


def caption(record: Record, rules: AskRules) -> list[TaskSample]:
    """The unified caption, where every claim of it is sure."""
    claims = record.caption.claims
    answer = paragraphs(record.caption.text)
    if len(answer.split()) < rules.min_caption_words or not claims:
        return []
    if any(_claim_score(record, index, rules) < rules.min_score for index in range(len(claims))):
        return []
    return [ask(record, rules, "caption", answer, tuple(dict.fromkeys(e for claim in claims for e in claim.evidence)))]


def branch_captions(record: Record, rules: AskRules) -> list[TaskSample]:
    """What a language model says for each branch, else the sentences of the caption that tell of it.

    Of speech only what a language model says, for the rest is a transcript.
    """
    samples = []
    for branch in Branch:
        said = record.branches.get(branch)
        if said is None or said.outcome is not Outcome.OK or not said.facts:
            continue
        if said.caption:
            sure = all(fact.human or fact.score >= rules.min_score for fact in said.facts)
            answer, evidence = paragraphs(said.caption), [f"{branch}/{index}" for index in range(len(said.facts))]
        else:
            own = [i for i, claim in enumerate(record.caption.claims) if claim.branch is branch is not Branch.SPEECH]
            sure = all(_claim_score(record, index, rules) >= rules.min_score for index in own)
            claims = [record.caption.claims[index] for index in own]
            answer = paragraphs(" ".join(claim.text for claim in claims))
            evidence = list(dict.fromkeys(e for claim in claims for e in claim.evidence))
        if sure and len(answer.split()) >= rules.min_caption_words:
            samples.append(ask(record, rules, f"caption_{branch}", answer, tuple(evidence)))
    return samples


def voices(record: Record, rules: AskRules) -> list[TaskSample]:
    """Thirteen phrases about a voice; where several speak, about each that clearly begins at a time of its own."""
    speech = speech_of(record)
    if not speech:
        return []
    begins_ms: dict[str, int] = {}
    for turn in sorted(speech.turns, key=lambda turn: turn.start_ms):
        begins_ms.setdefault(turn.speaker, turn.start_ms)
    several = len(speech.speakers) > 1 or len(begins_ms) > 1
    samples: list[TaskSample] = []
    for index, speaker in enumerate(speech.speakers):
        if speaker.description is None or len(samples) == rules.per_record:
            continue
        values = {key: line(getattr(speaker.description, key)) for key in speech_caption.KEYS}
        try:
            answer = speech_caption.write(speech_caption.SpeechCaption.of(values))
        except SchemaError:
            continue
        evidence = (f"branches.speech.speakers/{index}",)
        if not several:
            samples.append(ask(record, rules, "speech_caption", answer, evidence))
        elif (at_ms := begins_ms.get(speaker.name)) is not None:
            others = (other for turn in speech.turns if turn.speaker != speaker.name for other in (turn.start_ms,))
            if all(abs(other - at_ms) > rules.order_ms for other in others):
                told = {"at": second(record, at_ms)}
                task = "speech_caption_of"
                samples.append(ask(record, rules, task, answer, evidence, index=len(samples), **told))
    return samples


def _claim_score(record: Record, index: int, rules: AskRules) -> float:
    """A claim is as sure as it says, or wholly where all it rests on is written by people."""
    claim = record.caption.claims[index]
    by_hand = all(record.branches.fact(evidence).human for evidence in claim.evidence)
    return 1.0 if by_hand else claim.score
