"""Bodies that a client compresses, and bodies that begin with a byte order mark."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from app.api.body_decompression import gunzip
from app.errors import BodyTooLarge, Malformed
from service_tests.api.requests import body

JSON = {"content-type": "application/json"}
GZIP = JSON | {"content-encoding": "gzip"}
BOM = "\N{BYTE ORDER MARK}".encode()
MIB = 2**20


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_gzip_is_read(client: TestClient, encoding: str) -> None:
    sent = gzip.compress(json.dumps(body()).encode())
    assert client.post("/adapt", content=sent, headers=JSON | {"content-encoding": encoding}).status_code == 201


def test_gzip_of_several_members_csv_and_lines_is_read(client: TestClient) -> None:
    text = json.dumps(body()).encode()
    members = gzip.compress(text[:20]) + gzip.compress(text[20:])
    assert client.post("/adapt", content=members, headers=GZIP).status_code == 201
    lines = client.post(
        "/adapt", content=gzip.compress(text + b"\n" + text), headers=GZIP | {"content-type": "application/x-ndjson"}
    )
    assert len(lines.text.splitlines()) == 2
    rows = gzip.compress(b"time,target\n1,2\n2,3\n")
    assert (
        client.post("/adapt?model=sinusoid", content=rows, headers=GZIP | {"content-type": "text/csv"}).status_code
        == 201
    )


def test_a_bomb_is_refused_in_bounded_memory(serve: Callable[..., TestClient]) -> None:
    client, bomb = serve(max_body_bytes=MIB), gzip.compress(bytes(256 * MIB), 9)
    assert len(bomb) < MIB
    refused = client.post("/adapt", content=bomb, headers=GZIP)
    assert refused.status_code == 413
    assert "at most 1048576 bytes (INNERLOOP_MAX_BODY_BYTES)" in refused.json()["detail"]
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        gunzip(bomb, MIB)
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    tracemalloc.stop()


def test_a_bomb_of_many_members_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        gunzip(100 * gzip.compress(bytes(MIB)), 50 * MIB)
    assert len(gunzip(100 * gzip.compress(bytes(MIB)), 100 * MIB)) == 100 * MIB


def test_a_million_empty_members_are_refused_at_once() -> None:
    with pytest.raises(Malformed, match="at most 1000 gzip members"):
        gunzip(gzip.compress(b"") * 1_000_000, MIB)
    assert gunzip(gzip.compress(b"ab") * 1000, MIB) == b"ab" * 1000


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"{}", "body: expected gzip, as Content-Encoding says, got a body that is not compressed with gzip: compress"),
        (b"", "body: expected complete gzip, got a body that breaks off after 0 bytes"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], "body: expected complete gzip, got a body that breaks off after"),
        (
            zlib.compress(b"{}"),
            "body: expected gzip, as Content-Encoding says, got a body in the format zlib (deflate): ",
        ),
        (
            zlib.compress(b"{}", 0),
            "body: expected gzip, as Content-Encoding says, got a body in the format zlib (deflate)",
        ),
        (
            gzip.compress(bytes(range(256)) * 400, 0, mtime=0)[:-8] + bytes(8),  # longer than a chunk
            "body: expected gzip, as Content-Encoding says, got gzip that is damaged: compress it and send",
        ),
        (
            gzip.compress(b"{}", mtime=0) + b"{}",
            "body: expected gzip, as Content-Encoding says, got gzip followed by other bytes, from byte 22 on: ",
        ),
    ],
)
def test_what_is_no_gzip_gets_a_400(client: TestClient, sent: bytes, detail: str) -> None:
    refused = client.post("/adapt", content=sent, headers=GZIP)
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith(detail)


def test_another_encoding_gets_a_415(client: TestClient) -> None:
    refused = client.post("/adapt", content=b"{}", headers=JSON | {"content-encoding": "br"})
    assert (refused.status_code, refused.json()["place"]) == (415, "Content-Encoding")
    assert refused.json()["detail"].startswith('Content-Encoding: expected one of gzip, identity, got "br"')
    sent = json.dumps(body()).encode()
    assert client.post("/adapt", content=sent, headers=JSON | {"content-encoding": "identity"}).status_code == 201


def test_gzip_without_the_header_says_which_header_is_missing(client: TestClient) -> None:
    refused = client.post("/adapt", content=gzip.compress(b"{}"), headers=JSON)
    assert refused.json()["detail"].endswith("set the header Content-Encoding: gzip")


def test_a_byte_order_mark_is_skipped(client: TestClient) -> None:
    sent = BOM + json.dumps(body()).encode()
    assert client.post("/adapt", content=sent, headers=JSON).status_code == 201
    assert client.post("/adapt", content=gzip.compress(sent), headers=GZIP).status_code == 201
    padded = sent + b" " * 100_000
    assert client.post("/adapt", content=padded, headers=JSON).status_code == 201
    wrong = client.post("/adapt", content=BOM + b'{"model": 1}', headers=JSON)
    assert wrong.json()["place"] == "model"


def test_a_second_byte_order_mark_is_an_error(client: TestClient) -> None:
    for marks in (2, 1500):
        refused = client.post("/adapt", content=marks * BOM + json.dumps(body()).encode(), headers=JSON)
        assert refused.status_code == 400
    large = client.post("/adapt", content=30_000 * BOM + json.dumps(body()).encode(), headers=JSON)
    assert large.status_code == 400


def test_an_encoding_that_is_declared_twice_gets_a_415(client: TestClient) -> None:
    sent, twice = gzip.compress(json.dumps(body()).encode()), [*JSON.items(), *2 * [("content-encoding", "gzip")]]
    assert client.post("/adapt", content=sent, headers=twice).status_code == 415


def test_zeros_behind_a_gzip_are_skipped() -> None:
    assert gunzip(gzip.compress(b"{}") + bytes(100), 100) == b"{}"
    with pytest.raises(Malformed):
        gunzip(gzip.compress(b"{}") + bytes(100) + b"x", 100)


def test_damage_is_damage() -> None:
    with pytest.raises(Malformed):
        gunzip(gzip.compress(b"{}") + b"more", 100)
