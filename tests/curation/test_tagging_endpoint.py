from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from doit.curation.tagging.endpoint import Endpoint, EndpointTagger
from doit.errors import SpecError


class Chat:
    """A server on this machine that speaks the protocol: says `math` of what has a digit, else `history`."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.content: str | None = None
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat.seen.append(document)
                chat.keys.append(self.headers["Authorization"])
                status = chat.statuses.pop(0) if chat.statuses else 200
                body = json.dumps(chat.answer(document)).encode() if status == 200 else b"no"
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Retry-After", "7")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self, document: dict[str, Any]) -> dict[str, Any]:
        asked = json.loads(document["messages"][1]["content"])
        told = {at: "math" if any(c.isdigit() for c in text) else "history" for at, text in asked.items()}
        content = json.dumps(told) if self.content is None else self.content
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        return {"choices": [{"message": {"content": content}}], "usage": usage}


@pytest.fixture
def chat() -> Iterator[Chat]:
    made = Chat()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def tagger(chat: Chat, cache: Path, waits: list[float] | None = None, **more: Any) -> EndpointTagger:
    endpoint = Endpoint(url=chat.url, model="m", **{"records": 2, "parallel": 1, "retries": 2, **more})
    return EndpointTagger(endpoint, cache, sleep=(waits if waits is not None else []).append)


ASKED = pl.Series(["3 + 5", "唐朝", "7 × 8", "宋朝", "唐朝"])
TOLD = pl.Series(["", None, "", "", None], dtype=pl.String)


def test_records_are_asked_in_batches_and_counted(chat: Chat, tmp_path: Path) -> None:
    asking = tagger(chat, tmp_path, price=(2.0, 10.0))
    tags = asking.tag(ASKED, TOLD)
    assert tags["ability"].to_list() == ["math", "history", "math", "history", "history"]
    assert tags["score"].null_count() == 5
    assert set(tags["reason"]) == {"endpoint:m"}
    assert len(chat.seen) == 2, "four different records, two a request"
    costs = asking.costs
    assert (costs.requests, costs.asked, costs.tokens_read, costs.tokens_written) == (2, 4, 200, 20)
    assert costs.cost == pytest.approx((200 * 2 + 20 * 10) / 1e6)


def test_what_was_answered_is_not_asked_again(chat: Chat, tmp_path: Path) -> None:
    first = tagger(chat, tmp_path).tag(ASKED, TOLD)
    again = tagger(chat, tmp_path)
    assert again.tag(ASKED, TOLD).equals(first)
    assert (again.costs.requests, again.costs.cached) == (0, 4)
    other = EndpointTagger(Endpoint(url=chat.url, model="another"), tmp_path)
    other.tag(ASKED, TOLD)
    assert other.costs.asked == 4, "another model, other answers"


def test_a_busy_endpoint_is_asked_again_after_the_time_it_names(chat: Chat, tmp_path: Path) -> None:
    chat.statuses = [429, 503]
    waits: list[float] = []
    assert tagger(chat, tmp_path, waits).tag(ASKED[:1], TOLD[:1])["ability"].to_list() == ["math"]
    assert waits == [7, 7]


def test_a_refusal_is_not_tried_again(chat: Chat, tmp_path: Path) -> None:
    chat.statuses = [401]
    with pytest.raises(SpecError, match="401"):
        tagger(chat, tmp_path).tag(ASKED[:1], TOLD[:1])
    assert len(chat.seen) == 1


def test_it_gives_up_and_keeps_what_it_has(chat: Chat, tmp_path: Path) -> None:
    chat.statuses = [200, 500, 500, 500]
    with pytest.raises(SpecError, match="D211"):
        tagger(chat, tmp_path).tag(ASKED, TOLD)
    again = tagger(chat, tmp_path)
    again.tag(ASKED, TOLD)
    assert again.costs.asked == 2


@pytest.mark.parametrize("content", ["", "math", "{}", '{"1": 7}', '{"1": "cooking"}', "[1]", '{"1": ["math"]}', "}{"])
def test_an_answer_without_an_ability_is_no_tag(chat: Chat, tmp_path: Path, content: str) -> None:
    chat.content = content
    tags = tagger(chat, tmp_path).tag(ASKED[:1], TOLD[:1])
    assert tags.row(0) == (None, None, "unsure")
    assert not list(tmp_path.rglob("*.txt")), "only answers are kept"


def test_talk_around_the_answer_does_not_matter(chat: Chat, tmp_path: Path) -> None:
    chat.content = 'Sure!\n```json\n{"1": "Creative Writing"}\n```'
    assert tagger(chat, tmp_path).tag(ASKED[:1], TOLD[:1])["ability"][0] == "creative_writing"


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_ENDPOINT_KEY", "not-a-real-key")
    tagger(chat, tmp_path / "a", key_env="TEST_ENDPOINT_KEY").tag(ASKED[:1], TOLD[:1])
    assert chat.keys == ["Bearer not-a-real-key"]
    chat.statuses = [302]
    with pytest.raises(SpecError, match="302") as raised:
        tagger(chat, tmp_path / "b", key_env="TEST_ENDPOINT_KEY").tag(ASKED[:1], TOLD[:1])
    assert "not-a-real-key" not in str(raised.value)
    monkeypatch.delenv("TEST_ENDPOINT_KEY")
    with pytest.raises(SpecError, match="TEST_ENDPOINT_KEY"):
        tagger(chat, tmp_path / "c", key_env="TEST_ENDPOINT_KEY").tag(ASKED[:1], TOLD[:1])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "host/v1", ""])
def test_only_the_web_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Endpoint(url=url, model="m")


def test_nobody_there_is_an_error_with_a_code(tmp_path: Path) -> None:
    asking = EndpointTagger(Endpoint(url="http://127.0.0.1:9/v1", model="m", retries=1), tmp_path, sleep=lambda _: None)
    with pytest.raises(SpecError, match="D211"):
        asking.tag(ASKED[:1], TOLD[:1])
