"""REST APIs from a request to its answer: stages, routes, limits, errors, CORS and API keys."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from local.emulator.gateway.routes import RestRoutes
from local.emulator.invocation import ThrottledError
from local.emulator.specs import RouteSpec
from tests.emulator.fidelity import assumed, documented, own, read
from tests.emulator.gateways import NEVER, Served, raised

Serve = Callable[..., Served]
INTERNAL = {"message": "Internal server error"}
MISSING = {"message": "Missing Authentication Token"}

HELLO = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      Hello: {Type: Api, Properties: {Path: /hello, Method: get}}
      Own: {Type: Api, Properties: {Path: /Prod/own, Method: get}}
      One: {Type: Api, Properties: {Path: '/pets/{id}', Method: any}}
      Rest: {Type: Api, Properties: {Path: '/files/{proxy+}', Method: ANY}}
      Root: {Type: Api, Properties: {Path: /, Method: POST}}
"""


@pytest.mark.parametrize(
    ("asked", "resource", "path", "shown"),
    [
        ("/Prod/hello", "/hello", "/hello", "/Prod/hello"),
        ("/hello", "/hello", "/hello", "/Prod/hello"),
        ("/Prod/own", "/Prod/own", "/Prod/own", "/Prod/Prod/own"),
        ("/Prod/Prod/own", "/Prod/own", "/Prod/own", "/Prod/Prod/own"),
        ("/Prod/pets/6", "/pets/{id}", "/pets/6", "/Prod/pets/6"),
        ("/Product", None, None, None),
    ],
)
@own("a stage may stand in the path or not, as sam local has it")
def test_a_rest_api_is_there_with_its_stage_and_without(
    serve: Serve, asked: str, resource: str | None, path: str | None, shown: str | None
) -> None:
    """`path` never has the stage, the request context always; a route that begins with the stage's name wins."""
    served = serve(HELLO)
    if resource is None:
        assert served.ask(asked).json() == MISSING
        return
    made = served.event(asked)
    assert (made["resource"], made["path"], made["requestContext"]["path"]) == (resource, path, shown)


@pytest.mark.parametrize("path", ["/Prod", "/Prod/", "/"])
@own("a stage may stand in the path or not, as sam local has it")
def test_the_stage_alone_is_the_root(serve: Serve, path: str) -> None:
    assert serve(HELLO).event(path, "POST")["path"] == "/"


@pytest.mark.parametrize(("path", "method"), [("/nowhere", "GET"), ("/hello", "POST"), ("/Prod", "GET")])
@documented("API Gateway: supported-gateway-response-types, MISSING_AUTHENTICATION_TOKEN")
def test_a_request_without_route_misses_an_authentication_token(serve: Serve, path: str, method: str) -> None:
    answer = serve(HELLO).ask(path, method)
    assert (answer.status_code, answer.json()) == (403, MISSING)
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert answer.headers["x-amzn-requestid"]


def found(method: str, path: str) -> tuple[str, dict[str, str] | None] | None:
    paths = ("ANY /{proxy+}", "GET /pets/{id}", "ANY /pets/dog", "GET /pets/dog", "GET /pets/{id}/{rest+}")
    match = RestRoutes(RouteSpec(*one.split(" "), "F") for one in paths).find(method, path)
    return match and (match.route.key, match.parameters)


@documented("API Gateway: api-gateway-set-up-simple-proxy")
def test_a_literal_path_precedes_a_parameter_and_that_the_rest_of_the_path() -> None:
    assert found("GET", "/pets/dog") == ("GET /pets/dog", None)
    assert found("POST", "/pets/dog") == ("ANY /pets/dog", None)
    assert found("GET", "/pets/6") == ("GET /pets/{id}", {"id": "6"})
    assert found("GET", "/pets/6/a/b") == ("GET /pets/{id}/{rest+}", {"id": "6", "rest": "a/b"})
    assert found("GET", "/a/b") == ("ANY /{proxy+}", {"proxy": "a/b"})
    assert found("GET", "/") is None


@assumed("the path is looked for before the method")
def test_a_method_that_a_path_does_not_have_is_not_taken_from_another_path() -> None:
    assert found("POST", "/pets/6") is None


@read("aws/chalice: chalice/local.py")
def test_a_slash_at_the_end_changes_nothing(serve: Serve) -> None:
    served = serve(HELLO.replace("Path: /hello", "Path: /hello/"))
    assert served.event("/Prod/hello/")["path"] == "/hello/"
    assert served.event("/hello")["resource"] == "/hello"


@documented("API Gateway: api-gateway-known-issues, REST APIs decode URL request parameters")
def test_path_parameters_are_decoded_and_may_hold_a_slash(serve: Serve) -> None:
    served = serve(HELLO)
    assert served.event("/pets/a%20b%2Fc")["pathParameters"] == {"id": "a b/c"}
    assert served.event("/files/a%2Bb/c")["pathParameters"] == {"proxy": "a+b/c"}


@documented("API Gateway: set-up-lambda-proxy-integrations, output format")
def test_headers_of_both_kinds_are_merged_and_a_value_of_both_comes_once(serve: Serve) -> None:
    answer = serve(HELLO, F={
        "statusCode": "201", "headers": {"X-A": "1", "Content-Type": "text/html"},
        "multiValueHeaders": {"x-a": ["1", "2"], "Set-Cookie": ["a=1", "b=2"]}, "body": "hi",
    }).ask("/hello")  # fmt: skip
    assert (answer.status_code, answer.text) == (201, "hi")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["x-amzn-requestid"]
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")


@documented("API Gateway: api-gateway-set-up-simple-proxy, the default content type")
def test_a_body_without_type_is_json(serve: Serve) -> None:
    assert serve(HELLO, F={"body": "{}"}).ask("/hello").headers["content-type"] == "application/json"


@documented("API Gateway: api-gateway-known-issues")
def test_a_rest_api_renames_headers_that_it_sets_itself(serve: Serve) -> None:
    given = {"Authorization": "a", "WWW-Authenticate": "b", "Content-Length": "9"}
    headers = serve(HELLO, F={"statusCode": 200, "headers": given, "body": "x"}).ask("/hello").headers
    assert (headers["x-amzn-remapped-authorization"], headers["x-amzn-remapped-www-authenticate"]) == ("a", "b")
    assert headers["content-length"] == "1"


MALFORMED = [
    b"no json", "text", 7, None.__class__, [1], {"statusCode": 200, "other": 1}, {"message": "hi"},
    {"statusCode": "ok"}, {"statusCode": 99}, {"statusCode": 200, "body": {"a": 1}}, {"statusCode": 200, "body": [1]},
    {"statusCode": 200, "headers": {"a": ["b"]}}, {"statusCode": 200, "headers": ["a"]},
    {"statusCode": 200, "multiValueHeaders": {"a": "b"}}, {"statusCode": 200, "isBase64Encoded": "maybe"},
    {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
]  # fmt: skip


@pytest.mark.parametrize("result", [b"null" if one is None.__class__ else one for one in MALFORMED])
@documented("API Gateway: set-up-lambda-proxy-integrations, output format: another one is a 502")
def test_a_malformed_result_is_a_502(serve: Serve, result: Any) -> None:
    answer = serve(HELLO, F=result).ask("/hello")
    assert (answer.status_code, answer.json()) == (502, INTERNAL)


@read("aws-sam-cli: local_apigw_service.py")
def test_a_result_of_a_rest_api_needs_no_status(serve: Serve) -> None:
    answer = serve(HELLO, F={"body": 7}).ask("/hello")
    assert (answer.status_code, answer.text) == (200, "7")


@documented("API Gateway: handle-errors-in-lambda-integration")
def test_an_error_of_the_function_is_a_502(serve: Serve) -> None:
    answer = serve(HELLO, F=raised("on purpose")).ask("/hello")
    assert (answer.status_code, answer.json()) == (502, INTERNAL)
    assert answer.headers["x-amzn-errortype"] == "InternalServerErrorException"


@assumed("the status of a throttled function; sources outside AWS say 500")
def test_a_throttled_function_of_a_rest_api_is_a_500(serve: Serve) -> None:
    answer = serve(HELLO, F=ThrottledError("full")).ask("/hello")
    assert (answer.status_code, answer.json()) == (500, INTERNAL)


@documented("API Gateway: api-gateway-execution-service-limits-table, 29 seconds")
def test_a_rest_api_waits_29_seconds_and_then_answers_504(serve: Serve) -> None:
    assert serve(HELLO).template.apis[0].routes[0].time_limit == 29
    served = serve(HELLO.replace("Path: /hello", "Path: /hello, TimeoutInMillis: 50"), F=NEVER)
    answer = served.ask("/hello")
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})


@documented("API Gateway: supported-gateway-response-types, REQUEST_TOO_LARGE")
def test_a_body_beyond_ten_megabytes_is_a_413_of_rest(serve: Serve) -> None:
    answer = serve(HELLO).ask("/", "POST", content=b"x" * (10 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json() == {"message": "HTTP content length exceeded 10485760 bytes."}


@assumed("the limit is Lambda's (gettingstarted-limits), the answer is not documented")
def test_an_event_beyond_six_megabytes_is_a_413_of_rest(serve: Serve) -> None:
    answer = serve(HELLO).ask("/", "POST", content=b"x" * (6 * 1024 * 1024))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})


BINARY = (
    f"{HELLO}      Image: {{Type: Api, Properties: {{Path: /image, Method: get, RestApiId: !Ref Api}}}}\n"
    + """
Api:
  Type: AWS::Serverless::Api
  Properties: {StageName: v1, Name: pictures, BinaryMediaTypes: [image~1png], Variables: {level: '3'}}
"""
)


@pytest.mark.parametrize(
    ("accept", "decoded"),
    [("image/png", True), ("image/png, */*", True), ("image/png;q=0.9", True), ("*/*", False), ("text/html", False)],
)
@documented("API Gateway: api-gateway-payload-encodings, the first Accept header decides")
def test_base64_is_decoded_if_the_client_first_accepts_a_binary_type(serve: Serve, accept: str, decoded: bool) -> None:
    encoded = base64.b64encode(b"\x89PNG").decode()
    result = {"statusCode": 200, "body": encoded, "isBase64Encoded": True, "headers": {"content-type": "image/png"}}
    answer = serve(BINARY, F=result).ask("/v1/image", headers={"accept": accept})
    assert answer.content == (b"\x89PNG" if decoded else encoded.encode())


@documented("API Gateway: supported-gateway-response-types, API_CONFIGURATION_ERROR")
def test_a_body_that_is_no_base64_is_a_500(serve: Serve) -> None:
    result = {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True}
    answer = serve(BINARY, F=result).ask("/v1/image", headers={"accept": "image/png"})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)


@documented("SAM: AWS::Serverless::Api")
def test_an_api_with_a_name_has_its_own_stage_and_variables(serve: Serve) -> None:
    made = serve(BINARY).event("/v1/image")
    assert (made["requestContext"]["stage"], made["requestContext"]["path"]) == ("v1", "/v1/image")
    assert made["stageVariables"] == {"level": "3"}
    assert serve(BINARY).event("/image")["requestContext"]["apiId"] == "api"


CORS = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      Read: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /a, Method: get}}
      Write: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /a, Method: put}}
      Any: {Type: Api, Properties: {RestApiId: !Ref Api, Path: '/{proxy+}', Method: any}}
      Mine: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /mine, Method: options}}
Api: {Type: AWS::Serverless::Api, Properties: {StageName: Prod, Cors: %s}}
"""


@pytest.mark.parametrize(
    ("cors", "path", "headers"),
    [
        ("\"'*'\"", "/a", {"origin": "*", "methods": "GET,OPTIONS,PUT"}),
        ("\"'*'\"", "/b/c", {"origin": "*", "methods": "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"}),
        (
            "{AllowOrigin: \"'https://a.example'\", AllowHeaders: \"'x-key'\", AllowMethods: \"'GET'\", "
            "MaxAge: \"'600'\", AllowCredentials: true}",
            "/a",
            {
                "origin": "https://a.example",
                "headers": "x-key",
                "methods": "GET",
                "credentials": "true",
            },
        ),
    ],
)
@documented("SAM: CorsConfiguration of AWS::Serverless::Api")
def test_options_is_a_mock_with_the_headers_that_cors_names(
    serve: Serve, cors: str, path: str, headers: dict[str, str]
) -> None:
    served = serve(CORS % cors)
    answer = served.ask(f"/Prod{path}", "OPTIONS")
    assert (answer.status_code, answer.json()) == (200, {})
    prefix = "access-control-allow-"
    assert {key.removeprefix(prefix): value for key, value in answer.headers.items() if prefix in key} == headers
    assert answer.headers.get("access-control-max-age") == ("600" if "MaxAge" in cors else None)
    assert served.functions["F"].events == []


@documented("SAM: CorsConfiguration of AWS::Serverless::Api")
def test_a_rest_api_adds_no_header_to_a_functions_answer_and_its_own_options_go_first(serve: Serve) -> None:
    served = serve(CORS % "\"'*'\"")
    assert "access-control-allow-origin" not in served.ask("/a", headers={"origin": "https://a.example"}).headers
    assert served.event("/mine", "OPTIONS")["resource"] == "/mine"


KEYS = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      Kept: {Type: Api, Properties: {Path: /kept, Method: get, Auth: {ApiKeyRequired: true}}}
      Free: {Type: Api, Properties: {Path: /free, Method: get}}
%s
"""


@documented("API Gateway: api-gateway-setup-api-key-with-console")
def test_a_route_that_needs_an_api_key_refuses_requests_without_a_known_one(serve: Serve) -> None:
    served = serve(KEYS % "Key: {Type: AWS::ApiGateway::ApiKey, Properties: {Value: secret}}")
    for headers in ({}, {"x-api-key": "other"}):
        answer = served.ask("/kept", headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    identity = served.event("/kept", headers={"x-api-key": "secret"})["requestContext"]["identity"]
    assert (identity["apiKey"], len(identity["apiKeyId"])) == ("secret", 10)
    assert "apiKey" not in served.event("/free")["requestContext"]["identity"]


@own("keys that AWS makes are not known here")
def test_any_api_key_passes_where_the_template_names_none(serve: Serve) -> None:
    served = serve(KEYS % "")
    assert "so any x-api-key passes" in " ".join(served.template.warnings)
    assert served.ask("/kept").status_code == 403
    assert served.ask("/kept", headers={"x-api-key": "any"}).status_code == 200


TWO = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      Rest: {Type: Api, Properties: {Path: '/rest/{id}', Method: get}}
      Other: {Type: Api, Properties: {Path: '/{proxy+}', Method: get, RestApiId: !Ref Other}}
      Http: {Type: HttpApi, Properties: {Path: /http, Method: get}}
      Old: {Type: HttpApi, Properties: {Path: '/old/{id}', Method: get, PayloadFormatVersion: '1.0'}}
Other: {Type: AWS::Serverless::Api, Properties: {StageName: v2}}
"""


@own("all APIs of a template are on one port")
def test_every_api_of_a_template_is_served_by_its_stage_and_then_by_its_paths(serve: Serve) -> None:
    served = serve(TWO)
    assert served.event("/Prod/rest/1")["requestContext"]["apiId"] == "serverlessrestapi"
    assert served.event("/v2/rest/1")["requestContext"]["apiId"] == "other"
    assert served.event("/rest/1")["requestContext"]["apiId"] == "serverlessrestapi"


@documented("API Gateway: http-api-develop-integrations-lambda, format 1.0")
def test_a_route_of_an_http_api_may_ask_for_format_one(serve: Serve) -> None:
    alone = TWO.replace("      Other: ", "      # Other: ")
    made = serve(alone).event("/old/7?a=1&a=2")
    assert (made["version"], made["resource"], made["path"]) == ("1.0", "/old/{id}", "/old/7")
    assert (made["pathParameters"], made["multiValueQueryStringParameters"]) == ({"id": "7"}, {"a": ["1", "2"]})
    assert made["requestContext"]["stage"] == "$default"
    result = {"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}, "body": "aGk=", "isBase64Encoded": True}
    answer = serve(alone, F=result).ask("/old/7")
    assert (answer.content, answer.headers.get_list("x-a")) == (b"hi", ["1", "2"])


@documented("API Gateway: http-api-develop-integrations-lambda, format 1.0")
def test_a_result_of_format_one_without_status_is_a_500_of_an_http_api(serve: Serve) -> None:
    answer = serve(TWO.replace("      Other: ", "      # Other: "), F={"body": "x"}).ask("/old/7")
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
