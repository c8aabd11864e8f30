"""The page at /oauth/login: it says which MCP host asks for memories, and takes the key that answers for it.

It runs no script and loads nothing, and no other page may show it in a frame.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from forgetless.api.mcp.oauth_provider import Login

__all__ = ["login_page", "refusal_page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; }
label { display: block; margin-top: 1.5rem; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem;
  border: 1px solid #888; border-radius: 6px; }
button { font: inherit; margin-top: 1rem; padding: .5rem 1.5rem; border: 0; border-radius: 6px; cursor: pointer;
  background: #1a4fd6; color: #fff; }
a { margin-left: 1rem; }
.wrong { color: #a40000; }
.small { font-size: .875rem; color: #555; }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e6e6e6; }
  input { background: #22252c; color: inherit; }
  .wrong { color: #ff9a9a; } .small { color: #aaa; } a { color: #9db8ff; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")


def login_page(login: Login, request: str, *, cancel: str, wrong: str = "", status: int = 200) -> HTMLResponse:
    """The page for a login, which `request` carries; `cancel` is a link, and `wrong` says why the last try failed."""
    client = login.client_name
    target, name = _place(login.redirect_uri), escape(client)
    body = f"""<h1>{name} wants to use your memories</h1>
<p>It may then read and change what your Forgetless key may read and change, until you revoke the key.
It gets a token, never the key itself.</p>
<p>Continue only if you have just connected {name} yourself. You will be sent to <b>{escape(target)}</b>.</p>
<form method="post" action="login">
<input type="hidden" name="request" value="{escape(request)}">
<label for="key">Your Forgetless key</label>
<input id="key" name="key" type="password" autocomplete="off" autocapitalize="off" spellcheck="false" required autofocus
 aria-describedby="hint"{' aria-invalid="true"' if wrong else ""}>
{f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""}
<p class="small" id="hint">A key that is limited to one user gives the host no more than that user's memories.</p>
<button>Allow</button><a href="{escape(cancel)}">Cancel</a>
</form>"""
    return _page(f"Log in for {client}", body, status=status, sends_to=target)


def refusal_page(reason: str) -> HTMLResponse:
    """The page for a request that cannot go on."""
    return _page("This log-in cannot go on", f"<h1>This log-in cannot go on</h1><p>{escape(reason)}</p>", status=400)


def _page(title: str, body: str, *, status: int, sends_to: str = "") -> HTMLResponse:
    # Browsers apply form-action to where the answer of a form redirects, too.
    # They know no addresses of IPv6 there.
    forms = f"'self' {'http:' if '[' in sends_to else sends_to}" if sends_to else "'none'"
    rules = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    headers = {
        "content-security-policy": f"{rules}; form-action {forms}",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }
    return HTMLResponse(page, status_code=status, headers=headers)


def _place(redirect: str) -> str:
    """The origin of a web address, or the scheme of an application: `https://claude.ai`, `cursor:`."""
    parts = urlsplit(redirect)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else f"{parts.scheme}:"
