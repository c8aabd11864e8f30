"""Routes that ask for Cognito, JWT or IAM, which nothing on this machine can verify."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from local.emulator.gateway.outside import Trust, claims_of, outside_warnings
from tests.emulator.fidelity import assumed, documented, own
from tests.emulator.gateways import Served

Serve = Callable[..., Served]

RESOURCES = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      Rest: {Type: Api, Properties: {RestApiId: !Ref Rest, Path: /cognito, Method: get}}
      Signed: {Type: Api, Properties: {RestApiId: !Ref Rest, Path: /iam, Method: get, Auth: {Authorizer: AWS_IAM}}}
      Http: {Type: HttpApi, Properties: {ApiId: !Ref Http, Path: /jwt, Method: get}}
      Query: {Type: HttpApi, Properties: {ApiId: !Ref Http, Path: /query, Method: get, Auth: {Authorizer: Query}}}
      Http1: {Type: HttpApi, Properties: {ApiId: !Ref Http, Path: /one, Method: get, PayloadFormatVersion: '1.0'}}
      Last: {Type: HttpApi, Properties: {ApiId: !Ref Http, Path: /http-iam, Method: get, Auth: {Authorizer: AWS_IAM}}}
Pool: {Type: AWS::Cognito::UserPool}
Rest:
  Type: AWS::Serverless::Api
  Properties:
    StageName: Prod
    Auth: {DefaultAuthorizer: Pool, Authorizers: {Pool: {UserPoolArn: !GetAtt Pool.Arn}}}
Http:
  Type: AWS::Serverless::HttpApi
  Properties:
    Auth:
      EnableIamAuthorizer: true
      DefaultAuthorizer: Issuer
      Authorizers:
        Issuer:
          IdentitySource: $request.header.Authorization
          JwtConfiguration: {issuer: https://a.example, audience: [b]}
        Query: {IdentitySource: $request.querystring.token, JwtConfiguration: {issuer: https://a.example}}
"""
ROUTES = ("/cognito", "/iam", "/jwt", "/one", "/http-iam")
CLAIMS = {"sub": "me", "exp": 0, "cognito:groups": ["a", "b"], "email_verified": True, "level": 3, "scope": "r w"}
SIGNATURE = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-x-1/execute-api/aws4_request, SignedHeaders=host"


def token(claims: Any = CLAIMS) -> str:
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


def asked(served: Served, path: str, given: str | None) -> tuple[int, str]:
    answer = served.ask(path, headers={} if given is None else {"authorization": given})
    return answer.status_code, answer.json().get("message", "") if answer.status_code != 200 else ""


@pytest.mark.parametrize("trust", [Trust(), Trust(tokens=True), Trust(open=True)])
@own("routes that ask for Cognito, JWT or IAM")
def test_without_authorization_such_a_route_is_a_401_whatever_the_options(serve: Serve, trust: Trust) -> None:
    served = serve(RESOURCES, trust)
    assert [asked(served, path, None) for path in ROUTES] == [(401, "Unauthorized")] * len(ROUTES)
    assert served.functions["F"].events == []


@own("routes that ask for Cognito, JWT or IAM")
def test_with_authorization_a_501_names_the_options_that_let_it_through(serve: Serve) -> None:
    served = serve(RESOURCES)
    for path in ROUTES:
        status, message = asked(served, path, f"Bearer {token()}")
        assert status == 501
        assert "--trust-tokens" in message
        assert "--open-routes" in message
    assert served.functions["F"].events == []


@own("routes that ask for Cognito, JWT or IAM")
def test_open_routes_let_every_token_through_unread(serve: Serve) -> None:
    served = serve(RESOURCES, Trust(open=True))
    for path in ROUTES:
        assert asked(served, path, "anything")[0] == 200
        assert "authorizer" not in served.functions["F"].events[-1]["requestContext"]


@documented("API Gateway: http-api-jwt-authorizer")
def test_claims_of_a_jwt_reach_the_event_of_an_http_api(serve: Serve) -> None:
    served = serve(RESOURCES, Trust(tokens=True))
    event = served.event("/jwt", headers={"authorization": f"Bearer {token()}"})
    jwt = event["requestContext"]["authorizer"]["jwt"]
    assert (jwt["claims"]["sub"], jwt["scopes"]) == ("me", ["r", "w"])
    one = served.event("/one", headers={"authorization": token()})
    assert one["requestContext"]["authorizer"] == jwt
    assert "jwt" in served.event(f"/query?token={token()}")["requestContext"]["authorizer"]


@assumed("how claims that are no texts are shown")
def test_claims_of_an_http_api_are_all_texts(serve: Serve) -> None:
    event = serve(RESOURCES, Trust(tokens=True)).event("/jwt", headers={"authorization": f"Bearer {token()}"})
    assert event["requestContext"]["authorizer"]["jwt"]["claims"] == {
        "sub": "me", "exp": "0", "cognito:groups": "[a b]", "email_verified": "true", "level": "3", "scope": "r w",
    }  # fmt: skip


@assumed("how claims that are no texts are shown; the place of the claims is documented")
def test_claims_of_cognito_reach_the_event_of_a_rest_api(serve: Serve) -> None:
    event = serve(RESOURCES, Trust(tokens=True)).event("/Prod/cognito", headers={"authorization": token()})
    assert event["requestContext"]["authorizer"]["claims"] == {
        "sub": "me", "exp": "Thu Jan 01 00:00:00 UTC 1970", "cognito:groups": "a,b", "email_verified": "true",
        "level": "3", "scope": "r w",
    }  # fmt: skip


@own("routes that ask for Cognito, JWT or IAM")
def test_a_signature_names_its_access_key_if_tokens_are_trusted(serve: Serve) -> None:
    served = serve(RESOURCES, Trust(tokens=True))
    headers = {"authorization": SIGNATURE}
    assert served.event("/iam", headers=headers)["requestContext"]["identity"]["accessKey"] == "AKIDEXAMPLE"
    authorizer = served.event("/http-iam", headers=headers)["requestContext"]["authorizer"]
    assert authorizer["iam"]["accessKey"] == "AKIDEXAMPLE"


@pytest.mark.parametrize("given", ["opaque", "a.b.c", "a..c", f"Bearer {token([1])}", "AWS4-HMAC-SHA256 Signature=x"])
@own("routes that ask for Cognito, JWT or IAM")
def test_a_token_that_cannot_be_read_is_a_401_unless_routes_are_open(serve: Serve, given: str) -> None:
    assert claims_of(given) is None
    served = serve(RESOURCES, Trust(tokens=True))
    assert {asked(served, path, given) for path in ROUTES} == {(401, "Unauthorized")}
    both = serve(RESOURCES, Trust(tokens=True, open=True))
    assert {asked(both, path, given) for path in ROUTES} == {(200, "")}


@pytest.mark.parametrize(
    ("trust", "told"),
    [
        (Trust(), "is answered 501: give --trust-tokens or --open-routes"),
        (Trust(tokens=True), "is believed unverified"),
        (Trust(open=True), "passes unread"),
    ],
)
@own("warnings")
def test_the_start_says_what_such_routes_answer(serve: Serve, trust: Trust, told: str) -> None:
    lines = outside_warnings(serve(RESOURCES).template.apis, trust)
    assert lines == (
        f"Rest: a token to routes that ask for AWS_IAM, Pool (2) {told}",
        f"Http: a token to routes that ask for AWS_IAM, Issuer, Query (4) {told}",
    )
