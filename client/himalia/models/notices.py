"""What a person is told in Lab, and may answer."""

from __future__ import annotations

from pydantic import Field

from .base import Answer, Moment, Request


class NoticeView(Answer):
    """Something that a person is told. Without actions it is closed by the answer `seen`."""

    id: str
    kind: str
    sentence: str
    actions: dict[str, str] = {}  #: the answers that are possible, with the words of their buttons
    lease: str | None = None  #: of the server that it is about
    job: str | None = None
    at: Moment
    expires_at: Moment | None = None
    answer: str | None = None


class AnswerRequest(Request):
    """`POST api/notices/{id}/answer`."""

    answer: str = Field(min_length=1, max_length=40)


class AskView(Answer):
    """A holder was asked to give a GPU back."""

    sentence: str
