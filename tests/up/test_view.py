"""What the user sees while the parts start, on a terminal and in a file."""

from __future__ import annotations

import io

from rich.console import Console

from local.up.view import LiveView, PlainView, view_for


def live() -> tuple[LiveView, io.StringIO]:
    shown = io.StringIO()
    return LiveView(Console(file=shown, force_terminal=True, width=80), ["model", "gateway"]), shown


def test_without_a_terminal_each_change_is_one_line() -> None:
    shown = io.StringIO()
    view = view_for(shown, ["model"])
    view.part("model", "waiting")
    view.part("model", "starting")
    view.part("model", "starting", "downloading")
    view.part("model", "ready", "2.0 s")
    view.settle()
    view.say("done")
    assert shown.getvalue() == "model     starting\nmodel     ready (2.0 s)\ndone\n"


def test_a_closed_stream_is_no_error() -> None:
    shown = io.StringIO()
    view = PlainView(shown)
    shown.close()
    view.say("nobody hears this")


def test_on_a_terminal_every_part_has_a_line_that_moves() -> None:
    view, shown = live()
    view.part("model", "starting", "downloading the weights")
    view.part("gateway", "ready", "0.3 s")
    view.settle()
    last = shown.getvalue().split("\x1b[1A")[-1]
    assert "downloading the weights" in last
    assert "✓" in last
    assert last.count("gateway") == 1


def test_after_the_start_a_terminal_gets_lines_as_well() -> None:
    view, shown = live()
    view.settle()
    view.part("gateway", "restarting", "killed by SIGKILL; again in 0.5 s")
    view.say("[not markup]")
    assert shown.getvalue().endswith("restarting (killed by SIGKILL; again in 0.5 s)\n[not markup]\n")


def test_a_detail_longer_than_the_terminal_is_cut_to_one_line() -> None:
    view, shown = live()
    view.part("model", "starting", "x" * 500)
    view.settle()
    assert "x" * 80 not in shown.getvalue()
