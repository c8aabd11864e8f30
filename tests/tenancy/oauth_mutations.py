"""Mutations of OAuth: each check of tokens, codes and addresses taken out, and the test that must notice."""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["OAUTH"]

_TESTS = "tests/unit/api/test_oauth.py"


def _oauth(name: str, file: str, old: str, new: str, test: str) -> Mutation:
    return Mutation(f"oauth: {name}", file, old, new, (_TESTS, "-k", test))


OAUTH = (
    _oauth(
        "a token acts everywhere",
        "api/auth.py",
        'scope["path"] == MCP_PATH and (hash_ :=',
        "(hash_ :=",
        "acts_at_mcp_only",
    ),
    _oauth("a refresh token acts", "api/mcp/oauth_tokens.py", "audience=str(purpose), ", "", "acts_at_mcp_only"),
    _oauth(
        "nothing is signed",
        "api/mcp/oauth_tokens.py",
        '{"verify_exp": False}',
        '{"verify_exp": False, "verify_signature": False}',
        "looks_like_a_token or made_up",
    ),
    _oauth(
        "tokens do not end",
        "api/mcp/oauth_tokens.py",
        'return claims if now_s is None or now_s < claims.get("exp", now_s + 1) else None',
        "return claims",
        "end_with_their_time",
    ),
    _oauth(
        "a code works twice",
        "service/access/oauth_grants.py",
        "        self.revoke(key, grant)\n        return False",
        "        return True",
        "works_once_and_a_second",
    ),
    _oauth(
        "an old refresh token ends nothing",
        "service/access/oauth_grants.py",
        "        self.revoke(key, grant)\n        return None",
        "        return None",
        "works_once_but",
    ),
    _oauth(
        "an old refresh token works for ever",
        "service/access/oauth_grants.py",
        "self._age_s(standing) <= REPEAT_S",
        "True",
        "works_once_but",
    ),
    _oauth(
        "strangers may be sent to",
        "api/mcp/oauth_provider.py",
        "if refused := [one for one in addresses if not self._redirects.allows(one)]:",
        "if refused := addresses[:0]:",
        "cannot_be_the_place",
    ),
    _oauth(
        "addresses are compared by their end",
        "api/mcp/oauth_redirects.py",
        "host in self._hosts or",
        "any(map(host.endswith, self._hosts)) or",
        "addresses_to_which",
    ),
    _oauth(
        "a key needs not be known",
        "api/mcp/oauth.py",
        "except AuthenticationError as error:\n            wrong",
        "except ZeroDivisionError as error:\n            wrong",
        "wrong_key",
    ),
    _oauth("names are markup", "api/mcp/login_page.py", "escape(client)", "client", "shows_no_markup"),
    _oauth(
        "any form is read",
        "api/mcp/oauth_forms.py",
        'if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:',
        "if False:",
        "only_small_forms",
    ),
    _oauth("fields may stand twice", "api/mcp/oauth_forms.py", "if number > 1]", "if number > 9]", "only_small_forms"),
    _oauth(
        "forms and registrations may be of any size",
        "api/mcp/oauth.py",
        "self.app = BodyLimit(self.app, most=most)",
        "self.app = BodyLimit(self.app)",
        "only_small_forms or keep_the_service_busy",
    ),
    _oauth(
        "an access token whose hour is over revokes nothing",
        "api/mcp/oauth_provider.py",
        "Purpose.ACCESS, token, now_s=None)",
        "Purpose.ACCESS, token, now_s=time.time())",
        "whose_time_is_over",
    ),
    _oauth(
        "a registration is answered with every error",
        "api/mcp/oauth.py",
        "OAuthClientMetadata.model_validate_json(await request.body())",
        "pass",
        "keep_the_service_busy",
    ),
    _oauth(
        "log-ins are not in the audit list",
        "api/mcp/oauth.py",
        'request.scope["state"][MCP_NEEDS] = Role.WRITE',
        "pass",
        "in_the_audit_list",
    ),
    _oauth(
        "log-ins count for no quota",
        "api/mcp/oauth.py",
        "services.meter.take_request(key)",
        "pass",
        "count_as_requests",
    ),
    _oauth(
        "tokens count for no quota",
        "api/mcp/oauth_provider.py",
        "self._services().meter.take_request(key)",
        "pass",
        "count_as_requests",
    ),
    _oauth(
        "all look-ups of ended keys count as one address",
        "api/mcp/oauth_provider.py",
        ", address=self._address)",
        ")",
        "of_their_address_only",
    ),
)
