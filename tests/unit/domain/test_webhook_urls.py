"""Addresses of webhooks become ASCII, and what could never work is refused with a reason."""

from __future__ import annotations

import pytest

from forgetless.domain.webhook_urls import MAX_URL_CHARS, ascii_url


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("http://exämple.com/1", "http://xn--exmple-cua.com/1"),
        ("http://example.com/ü?q=é%41%zz#f", "http://example.com/%C3%BC?q=%C3%A9%41%25zz"),
        ("http://①②⑦.0.0.1/", "http://127.0.0.1/"),  # what it is; whether it may be reached is judged when it is sent
        ("https://bücher.example。com:8443/", "https://xn--bcher-kva.example.com:8443/"),
        ("http://faß.de/", "http://xn--fa-hia.de/"),
        ("http://[::1]:80/ü", "http://[::1]:80/%C3%BC"),
        ("http://u:pä@example.com/ü", "http://u:p%C3%A4@example.com/%C3%BC"),
    ],
)
def test_other_letters_become_ascii(given: str, sent: str) -> None:
    assert ascii_url(given) == sent
    assert ascii_url(sent) == sent


@pytest.mark.parametrize(
    "url",
    [
        "https://Example.com/Hook?x=%7B1}&y=a|b#part",
        "http://my_service:80/",
        "http://example.com./",
        "https://xn--exmple-cua.com",
        f"http://{'a' * 63}.com/",
        "http://[2606:4700::1111]/",
    ],
)
def test_what_is_ascii_stays_as_it_was_given(url: str) -> None:
    assert ascii_url(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com:0/", "port 0"),
        ("http://example.com:99999/", "port"),
        ("http://a..b/", "empty label"),
        ("http://.com/", "empty label"),
        ("http://ü..b/", "empty label"),
        (f"http://{'a' * 64}.com/", "63"),
        (f"http://{'ü' * 63}.com/", "international"),
        (f"http://{'.'.join(['abcd'] * 60)}.com/", "253"),
        ("http://☃.net/", "international"),
        ("http://a%41.com/", "character"),
        ("http://[::g]/", "host"),
        ("http://[::1/", "host"),
        ("http://[fe80::1%é]/", "host"),
        ("ftp://example.com/", "http or https"),
        ("http://", "http or https"),
        ("example.com", "http or https"),
        ("http://example.com/a b", "spaces"),
        ("http://example.com/\ud800", "control characters"),
        ("http://ex\u200bample.com/", "control characters"),
        (f"http://example.com/{'x' * MAX_URL_CHARS}", str(MAX_URL_CHARS)),
        (f"http://example.com/{'ü' * 400}", str(MAX_URL_CHARS)),
    ],
)
def test_what_can_never_work_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ascii_url(url)
