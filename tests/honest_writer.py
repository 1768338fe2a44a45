"""What an honest language model would answer the merger: for `ChatServer`."""

import json

from tests.chat_server import Request


def facts_of(request: Request) -> list[dict]:
    document, _ = json.JSONDecoder().raw_decode(request.text[request.text.index("{") :])
    return document["facts"]


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
