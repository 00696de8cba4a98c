"""The gate of the label server: every request that should not come through is stopped, on every route."""

import hashlib
import json
import logging
import re
import socket
from contextlib import suppress

import psutil
import pytest
from patience import LONG, until
from serving import ROOT, TOKEN, sheet

from prefrl.labelling.access import Rate

CLIP = "/clips/" + 64 * "a" + ".webp"
READING = [
    "/",
    "/?token=" + TOKEN,
    "/static/main.js",
    CLIP,
    "/api/status",
    "/api/history",
    "/api/team",
    "/api/openapi.json",
]
WRITING = ["/api/session", "/api/next", "/api/answers", "/api/answers/1/revise", "/api/answers/1/withdraw",
           "/api/heartbeat", "/api/leave", "/api/flag", "/api/invites"]  # fmt: skip
MINE = {"Authorization": f"Bearer {TOKEN}", "X-Prefrl": "1"}


def raw(port: int, content: bytes, timeout: float = LONG) -> bytes:
    """Send bytes and return what comes until the server hangs up or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as link:
        link.sendall(content)
        found = b""
        try:
            while piece := link.recv(65536):
                found += piece
        except (TimeoutError, ConnectionResetError):
            pass
    return found


def request(method: str, path: str, host: str | None, *lines: str) -> bytes:
    hosts = [f"Host: {host}"] if host is not None else []
    head = [f"{method} {path} HTTP/1.1", *hosts, f"Authorization: Bearer {TOKEN}", *lines, "Connection: close"]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1]) if reply else 0


# hosts


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:PORT"])
def test_a_name_that_points_here_is_not_served(serve, host):
    client = serve().client()
    given = {"Host": host.replace("PORT", str(client.base_url.port))}
    for path in [*READING, *WRITING]:
        reply = client.request("POST" if path in WRITING else "GET", path, headers=given)
        assert (reply.status_code, reply.json()["code"]) == (403, "host")


def test_hosts_are_taken_by_name_and_port_only(serve):
    serving = serve()
    port = serving.port
    good = [f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"]
    bad = ["", "localhost", "127.0.0.1", f"127.0.0.1:{port + 1}", f"localhost.:{port}", f"127.0.0.2:{port}", f"10.0.0.1:{port}",
           f"user@localhost:{port}", f"localhost:{port}/x", f"localhost:{port}, evil.example", "[::1", "\xff"]  # fmt: skip
    assert [status(raw(port, request("GET", "/api/status", host))) for host in good] == [200] * len(good)
    found = {host: status(raw(port, request("GET", "/api/status", host))) for host in bad}
    assert set(found.values()) <= {400, 403}, found
    twice = request("GET", "/api/status", f"localhost:{port}", "Host: evil.example")
    assert status(raw(port, twice)) in (400, 403)
    assert status(raw(port, b"GET /api/status HTTP/1.0\r\n\r\n")) == 403


def test_a_server_for_the_network_takes_its_names_and_bare_addresses(serve):
    serving = serve(access={"names": ("lab-machine",), "addresses": True})
    port = serving.port
    for host, expected in ((f"lab-machine:{port}", 200), (f"192.168.1.7:{port}", 200), (f"evil.example:{port}", 403)):
        assert status(raw(port, request("GET", "/api/status", host))) == expected


# tokens


@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "prefrl-1=" + TOKEN}, {"Authorization": "Bearer"}]
)
def test_without_the_token_there_is_nothing(serve, given):
    client = serve().client()
    client.headers.pop("Authorization")
    for path in ["/", *READING[2:], *WRITING]:
        writes = path in WRITING
        reply = client.request("POST" if writes else "GET", path, headers=given, json={} if writes else None)
        assert (reply.status_code, reply.json()["code"]) == (401, "token"), path


def test_the_token_in_the_address_becomes_a_cookie_that_no_script_reads(serve):
    serving = serve()
    client = serving.client()
    client.headers.pop("Authorization")
    assert client.get("/?token=wrong").status_code == 401
    reply = client.get("/", params={"token": TOKEN})
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert cookie == f"prefrl-{serving.port}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert client.get("/api/status").status_code == 200  # by the cookie
    assert reply.headers["referrer-policy"] == "no-referrer" and reply.headers["cache-control"] == "no-store"


def test_a_link_followed_from_a_chat_works_although_the_cookie_is_strict(serve):
    """A browser leaves the strict cookie out of a redirect that began on another site, but not out of a refresh."""
    client = serve().client()
    reply = client.get("/", params={"token": TOKEN}, headers={"Sec-Fetch-Site": "cross-site"})
    assert reply.status_code == 200 and 'http-equiv="refresh"' in reply.text and "set-cookie" in reply.headers


def test_a_browser_without_the_token_is_told_what_to_do(serve):
    client = serve().client("wrong")
    reply = client.get("/", headers={"Accept": "text/html"})
    assert reply.status_code == 401 and "prefrl label RUN --url" in reply.text


# requests from other sites


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Prefrl": ""}, (403, "header")),
        ({"Origin": "https://evil.example"}, (403, "origin")),
        ({"Origin": "null"}, (403, "origin")),
        ({"Origin": "http://localhost:1"}, (403, "origin")),
        ({"Origin": "http://[bad"}, (403, "origin")),
        ({"Sec-Fetch-Site": "cross-site"}, (403, "origin")),
        ({"Sec-Fetch-Site": "same-site"}, (403, "origin")),
        ({"Content-Type": "text/plain"}, (415, "content_type")),
        ({"Content-Type": "application/x-www-form-urlencoded"}, (415, "content_type")),
        ({"Content-Type": ""}, (415, "content_type")),
        ({"Content-Length": "70000"}, (413, "too_large")),
    ],
)
def test_what_another_site_could_send_is_refused(serve, headers, expected):
    serving = serve()
    usual = {"Host": f"127.0.0.1:{serving.port}", "Content-Type": "application/json", "Content-Length": "2", **MINE}
    lines = [f"{name}: {value}" for name, value in {**usual, **headers}.items()]
    for path in WRITING:
        reply = raw(serving.port, "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", "{}"]).encode())
        assert (status(reply), json.loads(reply.partition(b"\r\n\r\n")[2])["code"]) == expected, path


def test_the_page_itself_may_write(serve):
    serving = serve()
    headers = {
        "Origin": serving.base,
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/json; charset=utf-8",
    }
    assert serving.client().post("/api/session", json={"labeller": "ann"}, headers=headers).status_code == 200


def test_nobody_else_may_read_or_frame_a_reply(serve):
    client = serve().client()
    for path in ("/", "/api/status", "/api/nothing", CLIP):
        reply = client.get(path, headers={"Origin": "https://evil.example"})
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in reply.headers


# bodies and connections


def test_a_large_body_is_refused_without_being_read(serve):
    serving = serve()
    before = psutil.Process().memory_info().rss
    head = request("POST", "/api/answers", f"127.0.0.1:{serving.port}", "X-Prefrl: 1", "Content-Type: application/json",
                   "Content-Length: 209715200")  # fmt: skip
    assert status(raw(serving.port, head + 60000 * b"x")) == 413
    assert psutil.Process().memory_info().rss - before < 5 * 2**20


@pytest.mark.parametrize("pieces", [2, 3000])
def test_a_body_in_chunks_is_counted(serve, pieces):
    serving = serve()
    head = request("POST", "/api/answers", f"127.0.0.1:{serving.port}", "X-Prefrl: 1", "Content-Type: application/json",
                   "Transfer-Encoding: chunked")  # fmt: skip
    chunk = b"%x\r\n" % 40000 + 40000 * b"x" + b"\r\n"
    with socket.create_connection(("127.0.0.1", serving.port), timeout=LONG) as link:
        link.sendall(head)
        try:
            for _ in range(pieces):
                link.sendall(chunk)
        except OSError:
            return  # it hung up, as it should
        assert status(link.recv(65536)) == 413


@pytest.mark.parametrize("length", ["-1", "99999999999999999999", "1e3", "0x10", "", "5, 6"])
def test_a_lie_about_the_length_is_an_error_at_once(serve, length):
    serving = serve(deadline=10 * LONG)  # who waited for the rest would wait for ever
    head = request("POST", "/api/answers", f"127.0.0.1:{serving.port}", "X-Prefrl: 1", "Content-Type: application/json",
                   f"Content-Length: {length}")  # fmt: skip
    assert status(raw(serving.port, head + b"{}")) in (400, 413)


BEGINNINGS = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: x",
    "half a body": b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer " + TOKEN.encode()
    + b"\r\nX-Prefrl: 1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
}  # fmt: skip


@pytest.mark.parametrize("beginning", BEGINNINGS)
def two_hundred(port: int, beginning: str) -> list[socket.socket]:
    """Connections that have begun a request."""
    links = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for link in links:
        with suppress(OSError):  # it hung up already
            link.sendall(BEGINNINGS[beginning].replace(b"%d", str(port).encode()))
    return links


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_two_hundred_that_never_end_their_request_keep_nobody_waiting(serve, beginning):
    serving = serve(deadline=10 * LONG)  # who waited for them would wait for ever
    links = two_hundred(serving.port, beginning)
    for _ in range(5):
        with serving.client() as honest:
            assert honest.get("/api/status").status_code == 200
    assert serving.server.server_state.connections  # some of them are still there
    for link in links:
        link.close()


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_two_hundred_that_never_end_their_request_are_hung_up_on(serve, beginning):
    serving = serve(deadline=1.0)
    links = two_hundred(serving.port, beginning)

    def gone() -> bool:
        for link in links:  # one byte now and then puts nothing off
            with suppress(OSError):
                link.send(b"x")
        return not serving.server.server_state.connections

    until(gone)
    for link in links:
        link.close()


# paths


NAMES = [
    "../config.yaml", "..%2fconfig.yaml", "%2e%2e/config.yaml", "%2e%2e%2fconfig.yaml", "....//config.yaml",
    "..\\config.yaml", "..%5cconfig.yaml", "%00", "a%00.webp", "/etc/passwd", "%2fetc%2fpasswd",
    "../clips_private/" + 64 * "b" + ".webp", 64 * "A" + ".webp", 64 * "a" + ".webp%0a", 63 * "a" + ".webp", 5000 * "a",
    "%ff%fe", "index/x-0-0.json", ".", "",
]  # fmt: skip


@pytest.mark.parametrize("folder", ["clips", "static"])
def test_no_path_leads_out(serve, run, folder):
    private = run / "clips_private"
    private.mkdir()
    (private / f"{64 * 'b'}.webp").write_bytes(b"secret")
    port = serve().port
    for name in NAMES:
        reply = raw(port, request("GET", f"/{folder}/{name}", f"127.0.0.1:{port}"))
        assert status(reply) in (400, 404), (name, reply[:200])


def test_a_link_out_of_the_folder_of_clips_is_not_followed(serve, run):
    content = sheet((1, 2, 3))
    name = hashlib.sha256(content).hexdigest()
    (run / "private.webp").write_bytes(content)
    (run / "clips" / f"{name}.webp").symlink_to(run / "private.webp")
    assert serve().client().get(f"/clips/{name}.webp").status_code == 404


# texts, rates, secrets


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "'; DROP TABLE answers; --", "日本語", "Zoë 🦜", "a" * 40]
)
def test_names_are_data(serve, name):
    serving = serve()
    person = serving.person(name)
    person.label(1)
    assert serving.store.counts().answered == 1
    assert person.get("/api/history", labeller=name)["answers"][0]["labeller"] == name
    assert person.get("/api/team")["labellers"][0]["name"] == name


@pytest.mark.parametrize("name", ["", " ", "a" * 41, "a\nb", "a\x00", "\u202eabc", None, 5, ["a"]])
def test_names_that_cannot_be_shown_are_refused(serve, name):
    reply = serve().client().post("/api/session", json={"labeller": name})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid")


def test_a_session_in_a_hurry_is_told_to_wait(serve):
    person = serve(rate=Rate(1.0, 5.0)).person()
    found = [person.say("/api/heartbeat") for _ in range(7)]
    assert [reply.status_code for reply in found] == [200] * 5 + [429] * 2
    assert found[-1].headers["retry-after"] == "1" and found[-1].json()["code"] == "too_fast"


def test_no_token_is_logged_and_no_fault_shows_its_inside(serve, caplog, capfd, monkeypatch):
    serving = serve()
    with caplog.at_level(logging.DEBUG):
        client = serving.client()
        client.get("/", params={"token": TOKEN})
        client.get("/api/nothing")
        monkeypatch.setattr(serving.store, "counts", lambda: 1 / 0)
        reply = client.get("/api/team")
        until(lambda: any(record.exc_info for record in caplog.records))  # it is logged after it was answered
    assert (reply.status_code, reply.json()["code"]) == (500, "internal") and "1 / 0" not in reply.text
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert TOKEN not in "".join(ours) + "".join(capfd.readouterr())


def test_there_is_no_switch_for_debugging():
    text = "".join(path.read_text() for path in (ROOT / "prefrl" / "labelling").glob("*.py"))
    assert not re.search(r"debug\s*=|allow_origins|CORSMiddleware|reload\s*=", text, re.IGNORECASE)
