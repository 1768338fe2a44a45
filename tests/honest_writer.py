"""What an honest language model would answer the merger: for `ChatServer`."""

import json
from collections.abc import Callable, Mapping

from tests.chat_server import Request

NO_PLAN = {"groups": [], "contradictions": [], "leave_out": []}


def facts_of(request: Request) -> list[dict]:
    document, _ = json.JSONDecoder().raw_decode(request.text[request.text.index("{") :])
    return document["facts"]


def answering(answers_by_document: Mapping[str, object]) -> Callable[[Request], object]:
    """No plan, and the answer that belongs to the facts that are shown; answers may be put in later."""

    def answer(request: Request) -> object:
        if not is_writing(request):
            return NO_PLAN
        return next(answer for document, answer in answers_by_document.items() if document in request.text)

    return answer


def writes(request: Request) -> object:
    """Each fact by itself: first as a plan, then as one sentence."""
    facts = facts_of(request)
    if is_writing(request):
        return {"claims": [told(fact["text"], fact) for fact in facts]}
    return {"groups": [[fact["id"]] for fact in facts], "contradictions": [], "leave_out": []}


def is_writing(request: Request) -> bool:
    """Whether it is asked for claims, and not for a plan."""
    return request.schema is not None and "claims" in request.schema["properties"]


def told(text: str, fact: dict) -> dict:
    sentence = text[:1].upper() + text[1:].rstrip(".") + "."
    branch = fact["id"].partition("/")[0]
    return {
        "text": sentence,
        "start_s": fact["start_s"],
        "end_s": fact["end_s"],
        "branch": branch,
        "evidence": [fact["id"]],
    }
