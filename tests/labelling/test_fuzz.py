"""The server's interface, tried with thousands of requests made from its own description: no 5xx, and no reply that it
does not describe."""

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import content_type_conformance, not_a_server_error, status_code_conformance
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance
from serving import TOKEN, Serving, make_run

CASES = int(os.environ.get("PREFRL_FUZZ_CASES", 500))  # in all; the description has about a dozen operations
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Prefrl": "1"}
PATHS = [
    "/api/session", "/api/next", "/api/answers", "/api/answers/{seq}/revise", "/api/answers/{seq}/withdraw",
    "/api/heartbeat", "/api/leave", "/api/flag", "/api/status", "/api/history", "/api/team", "/api/invites",
    "/clips/{name}.webp", "/api/answers/{seq}/known",
]  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A server with something to find, its description, and values that mean something there."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    make_run(folder, 40)
    serving = Serving(folder)
    person = serving.person()
    person.label(30)
    [shown] = person.next()
    found = requests.get(f"{serving.base}/api/openapi.json", headers=HEADERS, timeout=300).json()
    real = {"session": person.session, "ticket": shown["ticket"], "query": shown["query"]}
    yield serving, schemathesis.openapi.from_dict(found), real
    serving.close()


@pytest.mark.parametrize("path", PATHS)
def test_whatever_comes_is_answered_as_described(fuzzed, path):
    serving, schema, real = fuzzed
    [operation] = [one.ok() for one in schema.get_all_operations() if one.ok().path == path]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of(operation.as_strategy(generation_mode=mode) for mode in modes)
    seen = set()

    @seed(20)
    @settings(
        max_examples=max(10, CASES // len(PATHS)), phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # the description's own filters may refuse much
    )  # fmt: skip
    @given(case=cases, meant=st.sets(st.sampled_from(sorted(real))), seq=st.integers(1, 30))
    def try_it(case, meant, seq):
        if isinstance(case.body, dict):
            case.body.update({part: real[part] for part in meant if part in case.body})
        if "seq" in (case.path_parameters or {}) and meant:
            case.path_parameters["seq"] = seq
        reply = case.call_and_validate(base_url=serving.base, headers=HEADERS, checks=CHECKS)
        seen.add(reply.status_code // 100)

    try_it()
    assert path.startswith("/clips") or 2 in seen  # it did not end at the first check


def test_every_operation_is_tried(fuzzed):
    assert {one.ok().path for one in fuzzed[1].get_all_operations()} == set(PATHS)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"labeller": "\\ud800"}', b'{"labeller": NaN}', b"[" * 30000,
     b'{"labeller": "a", "labeller": "b"}', b'{"labeller": 1e999}', b"1" * 5000],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_refused(fuzzed, body):
    headers = {**HEADERS, "Content-Type": "application/json"}
    reply = requests.post(f"{fuzzed[0].base}/api/session", data=body, headers=headers, timeout=300)
    assert reply.status_code in (200, 400, 422), reply.text
    assert reply.status_code == 200 or set(reply.json()) == {"code", "message"}
