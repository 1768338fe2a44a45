"""One caption per clip, in the words of a language model, of which every one is verified.

    facts -> those that agree -> plan -> sentences -> verified -> the rest told by templates -> asked of the audio

The model chooses what belongs together and how it reads; it can bring nothing of its own. Where it does not answer, or
nothing it says stands, the caption is the one that templates make of the same facts, and `note` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from annotators.base import ClaimCheck
from annotators.captions.chat import Chat, ChatConfig, Said
from annotators.merge import MODEL as TEMPLATES
from annotators.merge import TemplateMergerConfig, objection
from annotators.merging.cases import VerifyingRules
from annotators.merging.coherence import believed
from annotators.merging.listing import Listed, Listing, ListingRules, listed, listing_of
from annotators.merging.prompts import (
    PLAN_SCHEMA,
    PLAN_SYSTEM,
    PLAN_TEMPLATE,
    WRITE_SCHEMA,
    WRITE_SYSTEM,
    WRITE_TEMPLATE,
    plan_messages,
    write_messages,
)
from annotators.merging.reading import Plan, claims_of_answer, plan_of_answer, shown
from annotators.merging.telling import is_told, told_once
from annotators.merging.verifying import verified
from annotators.sentences import WORDS, Told, claims_of, facts_of
from schemas.config import Builds
from schemas.record import Branch, Caption, Check, Claim, Clip, Rejected

REVISION = "merging@1"  # counts up when a rule or a word of the lexicon changes
MAX_NOTE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmMergerConfig:
    chat: ChatConfig
    checks: tuple[Builds[ClaimCheck], ...] = ()  # what asks the audio
    template: TemplateMergerConfig = field(default_factory=TemplateMergerConfig)
    listing: ListingRules = field(default_factory=ListingRules)
    verifying: VerifyingRules = field(default_factory=VerifyingRules)
    tells_the_rest: bool = True  # what the model leaves out and is important is told by templates
    important: float = 0.6  # a fact this sure is; so are all words that were said, and what people wrote
    min_quoted: float = 0.8  # of the words that were said
    plan_tokens: int = 2_048
    write_tokens: int = 6_144

    def build(self) -> "LlmMerger":
        return LlmMerger(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One clip on its way to a caption. `note` is set where no model is to be asked any more."""

    clip: Clip
    told: tuple[Told, ...]  # what agrees
    rejected: tuple[Rejected, ...]
    listing: Listing
    plan: Plan | None = None
    claims: tuple[Claim, ...] = ()
    note: str | None = None
    written: bool = False  # whether claims of the model are among them
    asked: bool = False


class LlmMerger:
    def __init__(self, config: LlmMergerConfig) -> None:
        self._config = config
        self._chat: Chat = config.chat.build()
        self._checks = tuple(check.build() for check in config.checks)
        self._prompts = (
            self._chat.prompt_sha256(PLAN_SYSTEM, PLAN_TEMPLATE, PLAN_SCHEMA),
            self._chat.prompt_sha256(WRITE_SYSTEM, WRITE_TEMPLATE, WRITE_SCHEMA),
        )
        self.model = "+".join((self._chat.model, REVISION, *(check.model for check in self._checks)))

    def merge(self, clips: Sequence[Clip]) -> list[Caption]:
        tasks = [prepared(clip, self._config) for clip in clips]
        tasks = self._planned(tasks)
        tasks = self._written(tasks)
        tasks = [with_the_rest(task, self._config) for task in tasks]
        for check in self._checks:
            tasks = checked(tasks, check)
        return [self._caption(task) for task in tasks]

    def _planned(self, tasks: Sequence[Task]) -> list[Task]:
        asked = [task for task in tasks if task.listing.facts]
        answers = iter(
            self._chat.ask((plan_messages(task.listing) for task in asked), PLAN_SCHEMA, self._config.plan_tokens)
        )
        return [self._plan(task, next(answers)) if task.listing.facts else task for task in tasks]

    def _plan(self, task: Task, said: Said) -> Task:
        if said.error:
            return replace(task, note=self._note(f"gave no plan: {said.error}"), asked=True)
        return replace(task, plan=plan_of_answer(said.text, task.listing.by_id), asked=True)

    def _written(self, tasks: Sequence[Task]) -> list[Task]:
        asked = [(task.listing, task.plan) for task in tasks if task.plan]
        answers = iter(
            self._chat.ask(
                (write_messages(listing, plan.groups, (*plan.left_out, *plan.doubted)) for listing, plan in asked),
                WRITE_SCHEMA,
                self._config.write_tokens,
            )
        )
        return [self._judged(task, next(answers)) if task.plan else task for task in tasks]

    def _judged(self, task: Task, said: Said) -> Task:
        if said.error:
            return replace(task, note=self._note(f"wrote nothing: {said.error}"))
        answered = claims_of_answer(said.text)
        if answered.refused:
            return replace(task, note=self._note(f"gave no answer that can be read: {answered.refused}"))
        judged = verified(answered.proposals, task.listing, self._config.verifying)
        kept, repeated = told_once([one for one in judged if isinstance(one, Claim)])
        refused = [one for one in judged if isinstance(one, Rejected)]
        rejected = (*task.rejected, *answered.rejected, *refused, *repeated)
        if not kept:
            num_said = len(answered.rejected) + len(judged)
            reason = f"said nothing that stands: {num_said} claims, all rejected" if num_said else "claims nothing"
            return replace(task, rejected=rejected, note=self._note(reason))
        return replace(task, rejected=rejected, claims=tuple(kept), written=True)

    def _note(self, what: str) -> str:
        return shown(f"{TEMPLATES} wrote it, as {self._chat.model} {what}")[:MAX_NOTE]

    def _caption(self, task: Task) -> Caption:
        claims = sorted(
            task.claims, key=lambda one: (one.start_ms, one.end_ms, list(Branch).index(one.branch), one.text)
        )
        return Caption(
            text=" ".join(claim.text for claim in claims),
            claims=tuple(claims),
            rejected=task.rejected,
            merger=f"{self._chat.model}+{REVISION}" if task.written else TEMPLATES,
            note=task.note,
            prompts=self._prompts if task.asked else (),
        )


def prepared(clip: Clip, config: LlmMergerConfig) -> Task:
    """The facts of a clip that agree with each other and with its profile; the others are rejected with the reason."""
    segment = clip.segment
    told: list[Told] = []
    doubted: list[tuple[Told, str]] = []
    for one in facts_of(clip):
        reason = objection(one, clip, config.template)
        if reason:
            doubted.append((one, reason))
        else:
            told.append(one)
    by_id = {one.evidence: one for one in told}
    _, refused = believed([listed(one) for one in told])
    doubted += [(by_id[fact.id], reason) for fact, reason in refused]
    unbelieved = {fact.id for fact, _ in refused}
    told = [one for one in told if one.evidence not in unbelieved]
    rejected = tuple(
        Rejected(text=claim.text, reason=reason) for one, reason in doubted for claim in claims_of([one], segment)
    )
    return Task(clip=clip, told=tuple(told), rejected=rejected, listing=listing_of(told, segment, config.listing))


def with_the_rest(task: Task, config: LlmMergerConfig) -> Task:
    """All of the facts by templates where no claim stands; else what is important and was not told."""
    segment = task.clip.segment
    if not task.written:
        return replace(task, claims=tuple(claims_of(task.told, segment)))
    untold = [one for one in task.told if not is_told(one, task.claims, config.min_quoted)]
    rest = [one for one in untold if config.tells_the_rest and _is_important(one, config)]
    reasons = task.plan.left_out if task.plan else {}
    left = tuple(
        Rejected(text=claim.text, reason=_why(one, reasons, task.listing.left_out))
        for one in untold
        if one not in rest and not any(one.evidence in claim.evidence for claim in task.claims)
        for claim in claims_of([one], segment)
    )
    claims = [claim for claim in task.claims if not _is_told_whole(claim, rest)]
    again = tuple(
        Rejected(text=claim.text, reason="it leaves out words that were said; they are told whole")
        for claim in task.claims
        if claim not in claims
    )
    note = f"{TEMPLATES} told {len(rest)} facts that were left out" if rest else None
    return replace(
        task,
        claims=(*claims, *claims_of(rest, segment)),
        rejected=(*task.rejected, *left, *again),
        note=note,
        written=bool(claims),
    )


def _is_important(told: Told, config: LlmMergerConfig) -> bool:
    return told.fact.human or told.fact.kind == WORDS or told.fact.score >= config.important


def _is_told_whole(claim: Claim, rest: Sequence[Told]) -> bool:
    """Whether templates tell again all that the claim rests on."""
    return set(claim.evidence) <= {one.evidence for one in rest}


def _why(told: Told, reasons: object, no_room: Sequence[Listed]) -> str:
    if any(fact.id == told.evidence for fact in no_room):
        return "there was no room for it in what the model was shown"
    if isinstance(reasons, dict) and told.evidence in reasons:
        return f"the model left it out: {reasons[told.evidence] or 'it gives no reason'}"
    return "the model did not tell it"


def checked(tasks: Sequence[Task], check: ClaimCheck) -> list[Task]:
    """The claims with what the audio says of them; those it speaks against are rejected, unless people say so."""
    verdicts = iter(check.check([(task.clip, claim) for task in tasks for claim in task.claims]))
    done: list[Task] = []
    for task in tasks:
        claims: list[Claim] = []
        rejected = list(task.rejected)
        for claim in task.claims:
            verdict = next(verdicts)
            if verdict.objection and not _is_of_people(claim, task.told):
                rejected.append(Rejected(text=claim.text, reason=f"{check.name}: {verdict.objection}"))
                continue
            checks = () if verdict.score is None else (Check(name=check.name, score=verdict.score),)
            claims.append(replace(claim, checks=(*claim.checks, *checks)))
        done.append(replace(task, claims=tuple(claims), rejected=tuple(rejected)))
    return done


def _is_of_people(claim: Claim, told: Sequence[Told]) -> bool:
    """Whether every fact that it rests on was written by a person."""
    human = {one.evidence for one in told if one.fact.human}
    return set(claim.evidence) <= human
