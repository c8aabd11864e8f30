"""Stands in for a browser and the person before it: follows an address to the log-in page, posts a key, goes on.

Prints where the page led at last. With FOLLOW=1 it also visits that place, as a browser would. It is a program by
itself and needs only Python's own library. Usage: KEY=... python browser.py ADDRESS
"""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from html import unescape
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def main(address: str) -> None:
    with urllib.request.urlopen(address, timeout=30) as page:
        where, text = page.url, page.read().decode()
    (action,) = re.findall(r'<form[^>]*\baction="([^"]*)"', text) or [where.partition("?")[0]]
    (request,) = re.findall(r'name="request" value="([^"]+)"', text)
    data = urlencode({"request": unescape(request), "key": os.environ["KEY"]}).encode()
    try:
        urllib.request.build_opener(_Stay).open(urljoin(where, unescape(action)), data, timeout=30)
    except HTTPError as answer:
        landed = answer.headers["Location"] or sys.exit(f"{answer.code}: the page has led nowhere")
    else:
        sys.exit("the page has led nowhere")
    print(landed)
    if os.environ.get("FOLLOW"):
        urllib.request.urlopen(landed, timeout=30).read()


main(sys.argv[1])
