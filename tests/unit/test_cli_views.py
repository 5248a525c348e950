from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.agent_view import agent_table, show_agent
from lmos_grpc.cli.view.decision_view import governance_lines, show_decision
from lmos_grpc.cli.view.figures import ago_text, span_text
from lmos_grpc.cli.view.trace_view import bar, show_trace, trace_json, trace_table
from lmos_grpc.cli.view.turn_view import TurnView
from lmos_grpc.cli.view.why_not_view import show_why_not
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Exclusion, Governance, Target
from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    BranchOutcome,
    Clarification,
    ClarificationOption,
    Failure,
    Handover,
    MessageDone,
    Outcome,
    Routed,
    Source,
    Status,
    TextDelta,
    ToolCall,
    ToolCallState,
    TurnDone,
)
from lmos_grpc.domain.failure import Code, FailureDetail, Reason
from lmos_grpc.domain.instance import Agent, Instance, Lease
from lmos_grpc.domain.turn import DataPart, FilePart, Message, Role, TextPart
from lmos_grpc.traces import Span, SpanKind, SpanStatus, Trace, summarise

if TYPE_CHECKING:
    from lmos_grpc.domain.event import (
        EventBody,
    )

A, B = Source("billing-agent", "1.0.0", "explain-bill", 1), Source("orders-agent", "1.0.0", "track-order", 2)
ALONE = Source("billing-agent", "1.0.0", "explain-bill")
TWO = Decision(DecisionMode.CLASSIFIED, "two intents", (Target("a", "1.0.0"), Target("b", "1.0.0")))
BROKEN = FailureDetail(Code.UNAVAILABLE, Reason.AGENT_STREAM_BROKEN, "the stream\nbroke")


def shown(*happened: tuple[EventBody, Source]) -> str:
    file = io.StringIO()
    view = TurnView(Console(file=file, width=200, highlight=False, markup=False))
    for number, (body, source) in enumerate(happened, 1):
        view.show(AgentEvent(number, "t", body, source))
    view.close()
    return file.getvalue()


def said(text: str) -> Message:
    return Message(Role.AGENT, (TextPart(text),))


def test_text_streams_on_one_line_and_the_finished_message_does_not_repeat_it() -> None:
    text = shown(
        (Accepted(), Source()),
        (TextDelta("Your bill "), ALONE),
        (TextDelta("is 42 €."), ALONE),
        (MessageDone(said("Your bill is 42 €.")), ALONE),
        (TurnDone(Outcome.COMPLETED), ALONE),
    )
    assert text == "Your bill is 42 €.\n"


def test_a_message_without_deltas_is_shown_with_all_its_parts() -> None:
    parts = (TextPart("Here:"), DataPart({"amount": 42}), FilePart("https://x/bill.pdf", "bill.pdf"))
    text = shown((MessageDone(Message(Role.AGENT, parts)), ALONE))
    assert text == 'Here:\n{\n  "amount": 42\n}\n[bill.pdf] https://x/bill.pdf\n'


def test_two_messages_of_one_agent_are_both_shown() -> None:
    text = shown((TextDelta("One."), ALONE), (MessageDone(said("One.")), ALONE), (MessageDone(said("Two.")), ALONE))
    assert text == "One.\nTwo.\n"


def test_streams_of_two_agents_are_not_mixed_up() -> None:
    text = shown(
        (Routed(TWO), Source()),
        (TextDelta("bill "), A),
        (TextDelta("parcel "), B),
        (TextDelta("rose"), A),
        (TextDelta("is late"), B),
        (MessageDone(said("bill rose")), A),
        (MessageDone(said("parcel is late")), B),
        (TurnDone(Outcome.COMPLETED), Source()),
    )
    assert text == ("— billing-agent · explain-bill —\nbill rose\n— orders-agent · track-order —\nparcel is late\n")


def test_text_of_a_branch_that_never_finished_is_shown_at_the_end() -> None:
    text = shown((Routed(TWO), Source()), (TextDelta("bill"), A), (TextDelta("parcel"), B))
    assert text == "— billing-agent · explain-bill —\nbill\n— orders-agent · track-order —\nparcel\n"


def test_a_branch_that_only_reports_progress_does_not_hold_up_one_that_answers() -> None:
    text = shown((Routed(TWO), Source()), (Status("looking"), A), (TextDelta("parcel"), B), (TextDelta("bill"), A))
    assert text.index("parcel") < text.index("bill\n")
    assert text.startswith("— billing-agent · explain-bill —\n· looking\n— orders-agent")


def test_progress_tools_and_handover_stand_on_lines_of_their_own() -> None:
    text = shown(
        (TextDelta("One moment"), ALONE),
        (Status("checking the line", 0.4), ALONE),
        (ToolCall("1", "line_check", ToolCallState.COMPLETED), ALONE),
        (Handover(agent="fault-agent", reason="line is down"), ALONE),
    )
    assert text == (
        "One moment\n· checking the line 40%\n· line_check: completed\n"
        "→ billing-agent hands over to fault-agent: line is down\n"
    )


def test_the_options_of_a_question_are_numbered() -> None:
    options = (ClarificationOption("b", "My bill", score=0.51), ClarificationOption("o", "My order"))
    text = shown((Clarification("q", "Which one?", options), ALONE))
    assert text == "Which one?\n  1. My bill  0.51\n  2. My order\n"


def test_a_branch_that_failed_is_named_at_the_end() -> None:
    text = shown(
        (TextDelta("fine"), A), (TurnDone(Outcome.PARTIAL, branches=(BranchOutcome(B, Outcome.FAILED, BROKEN),)), A)
    )
    assert text == "fine\n! orders-agent failed: AGENT_STREAM_BROKEN: the stream broke\n"
    assert "! AGENT_STREAM_BROKEN" in shown((Failure(BROKEN), B))


def test_an_agent_cannot_send_escape_sequences_to_the_terminal() -> None:
    text = shown((TextDelta("\x1b[2Jgone\x07 \u202eevil\r\nkept\ttab"), ALONE))
    assert text == "[2Jgone evil\nkept    tab\n"
    assert printable("\x9b31mred") == "31mred"


def test_markup_of_an_agent_is_text() -> None:
    assert shown((TextDelta("[bold]x[/bold] :smile:"), ALONE)) == "[bold]x[/bold] :smile:\n"


def plain(what: object) -> str:
    console = Console(file=io.StringIO(), width=160, highlight=False, markup=False)
    console.print(what)
    return rendered(console)


def rendered(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def wide() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False, markup=False)


DECISION = Decision(
    DecisionMode.CLASSIFIED,
    "clear winner",
    (Target("billing-agent", "1.2.0", capability="explain-bill"),),
    (
        Candidate("billing-agent", "1.2.0", "explain-bill", score=0.93, chosen=True),
        Candidate("orders-agent", "2.0.0", "track-order", "canary", 0.11, exclusion=Exclusion.CHANNEL, reason="ivr"),
    ),
    classifier="lexical",
    elapsed=timedelta(microseconds=420),
)


def test_a_decision_shows_every_candidate_with_its_score_and_what_kept_it_out() -> None:
    console = wide()
    show_decision(console, DECISION)
    lines = rendered(console).splitlines()
    assert lines[0] == "classified → billing-agent/explain-bill: clear winner"
    assert lines[1] == "decided by lexical in 0.42 ms · managed lane"
    assert lines[4].split() == ["✓", "billing-agent", "1.2.0", "explain-bill", "0.93"]
    assert lines[5].split() == ["orders-agent", "2.0.0", "canary", "track-order", "0.11", "channel", "ivr"]


def test_a_decision_shows_what_the_rules_made_of_the_turn() -> None:
    excluded = {Exclusion.CAPABILITY: 2, Exclusion.TENANT: 1}
    governance = Governance("phone", "canary", 3, excluded, ("fly ^2.0.0: no agent offers it",))
    assert list(governance_lines(governance)) == [
        "by the rules of phone: subset canary · 3 may have it · kept out: 2 by capability, 1 by tenant",
        "unresolved: fly ^2.0.0: no agent offers it",
    ]
    own = list(governance_lines(Governance(allowed=4, excluded={Exclusion.CHANNEL: 1})))
    assert own == ["by the agents' own rules: subset stable · 4 may have it · kept out: 1 by channel"]
    assert list(governance_lines(Governance(allowed=4))) == list(governance_lines(None)) == []


def test_what_keeps_an_agent_out_is_shown_a_row_each() -> None:
    rows = (
        Candidate("a", "1.0.0", "", exclusion=Exclusion.TENANT, reason="it does not serve the tenant 'x'"),
        Candidate("a", "2.0.0", "fly", "canary", exclusion=Exclusion.SUBSET, reason="of another subset \x1b[31m"),
    )
    file = io.StringIO()
    console = Console(file=file, width=200)
    show_why_not(console, "a", BROKEN, rows)
    show_why_not(console, "a", TWO, (replace(rows[0], exclusion=Exclusion.NONE, chosen=True),))
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert lines[0] == ["AGENT_STREAM_BROKEN:", "the", "stream", "broke"]
    assert ["1.0.0", "stable", "tenant", "it", "does", "not", "serve", "the", "tenant", "'x'"] in lines
    assert "2.0.0    canary  fly" in file.getvalue()
    assert "a does not get it:" in file.getvalue()
    assert "a gets it:" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_in_a_narrow_terminal_the_candidates_are_lines_and_not_columns_of_a_letter() -> None:
    console = Console(file=io.StringIO(), width=60, highlight=False, markup=False)
    show_decision(console, DECISION)
    assert rendered(console).splitlines()[3:] == [
        "✓ 0.93 billing-agent 1.2.0 explain-bill",
        "  0.11 orders-agent 2.0.0 canary track-order",
        "       channel",
        "       ivr",
    ]


CARD = AgentCard(
    "billing-agent",
    "1.2.0",
    "Explains invoices.",
    (Capability("explain-bill", "1.0.0", examples={"en": ("why so high", "b", "c", "d")}),),
    tenants=frozenset({"de"}),
    converses=True,
)
INSTANCE = Instance("i-1", "127.0.0.1:5000", CARD, Lease("i-1", 7), registered_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_agents_are_listed_with_what_they_can_do() -> None:
    last = plain(agent_table([Agent(CARD, (INSTANCE,))])).splitlines()[-1]
    assert last.split() == ["billing-agent", "1.2.0", "stable", "ready", "1", "explain-bill"]


def test_one_agent_is_shown_in_full() -> None:
    console = wide()
    show_agent(console, Agent(CARD, (INSTANCE,)), datetime(2026, 1, 1, 0, 2, tzinfo=UTC))
    text = rendered(console)
    assert "tenants      de" in text
    assert "en: “why so high” · “b” · “c” … 1 more" in text
    assert text.splitlines()[-1].split() == ["i-1", "127.0.0.1:5000", "ready", "0", "7", "2", "min", "ago"]


def span(number: str, parent: str, name: str, offset: int, duration: int, **more: object) -> Span:
    start = 1_700_000_000_000_000_000
    return Span("ab" * 16, number, parent, name, SpanKind.SERVER, "svc", start + offset, duration, **more)  # type: ignore[arg-type] # the fields of Span


TRACE = Trace(
    "ab" * 16,
    (
        span("1", "", "root", 0, 4_000_000),
        span("2", "1", "first", 1_000_000, 1_000_000),
        span("3", "2", "below", 1_500_000, 500_000),
        span("4", "1", "second", 2_000_000, 2_000_000, status=SpanStatus.ERROR),
    ),
)


def test_a_trace_is_a_tree_with_bars_that_line_up() -> None:
    console = wide()
    show_trace(console, TRACE)
    lines = rendered(console).splitlines()
    assert lines[0] == f"trace {'ab' * 16} · 4.00 ms · 4 spans · 1 service"
    assert lines[1].startswith("svc: root (server)         " + "█" * 24)
    assert lines[2].startswith("├─ svc: first (server)     " + "·" * 6 + "█" * 6 + "·" * 12)
    assert lines[3].startswith("│  └─ svc: below (server)  ")
    assert lines[4].startswith("└─ svc: second (server)  ")


def test_a_list_of_traces_has_a_line_each_and_json_has_all_spans() -> None:
    now = datetime.fromtimestamp(1_700_000_065, UTC)
    assert plain(trace_table([summarise(TRACE)], now)).splitlines()[-1].startswith("abababab  1 min ago  4.00 ms")
    assert [each["name"] for each in trace_json(TRACE)["spans"]] == ["root", "first", "below", "second"]


def test_a_bar_always_shows_and_never_leaves_its_line() -> None:
    assert bar(0, 1, 1_000_000, 10) == "█·········"
    assert bar(1_000_000, 5, 1_000_000, 10) == "·········█"
    assert bar(0, 1_000_000, 1_000_000, 10) == "█" * 10


def test_figures_read_well() -> None:
    spans = [timedelta(microseconds=420), timedelta(milliseconds=12.34), timedelta(seconds=1.5), timedelta(seconds=125)]
    assert [span_text(each) for each in spans] == ["0.42 ms", "12.3 ms", "1.50 s", "2 min 5 s"]
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    agos = [timedelta(seconds=-5), timedelta(seconds=3), timedelta(minutes=5), timedelta(hours=2), timedelta(days=4)]
    assert [ago_text(now - each, now) for each in agos] == ["0 s ago", "3 s ago", "5 min ago", "2 h ago", "4 d ago"]
