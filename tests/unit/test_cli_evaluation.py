"""Labelled phrases: reading them, and judging what became of them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.cli.evaluation import Evaluation, LabelledPhrase, Verdict, read_phrases
from lmos_grpc.cli.view.evaluation_view import evaluation_json, show_evaluation
from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Target
from lmos_grpc.errors import InvalidConfigurationError
from tests.mesh.whole_mesh import output_to

if TYPE_CHECKING:
    from pathlib import Path

BILL = LabelledPhrase("why is my bill so high", "billing-agent")
FILES = {
    "a.csv": 'text,expected,locale\nwhy is my bill so high,billing-agent,\n"book it, please",fault-agent/book,de\n',
    "a.tsv": "text\texpected\tlocale\nwhy is my bill so high\tbilling-agent\t\nbook it, please\tfault-agent/book\tde\n",
    "a.jsonl": '{"text": "why is my bill so high", "expected": "billing-agent"}\n\n'
    '{"text": "book it, please", "expected": "fault-agent/book", "locale": "de"}\n',
    "a.yaml": "- text: why is my bill so high\n  expected: billing-agent\n"
    "- {text: 'book it, please', expected: fault-agent/book, locale: de}\n",
}


def to(agent: str, capability: str = "", mode: DecisionMode = DecisionMode.CLASSIFIED) -> Decision:
    return Decision(mode, "because", (Target(agent, "1.0.0", capability=capability),))


def asked(*agents: str) -> Decision:
    options = tuple(Candidate(each, "1.0.0", "c", chosen=True) for each in agents)
    return Decision(DecisionMode.CLARIFICATION, "a close call", candidates=options)


ABSTAINED = Decision(DecisionMode.ABSTAINED, "nothing fits")


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_says_the_same(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    assert read_phrases(file) == (BILL, LabelledPhrase("book it, please", "fault-agent/book", "de"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "text,wanted\na,b\n", "entry 1: 'wanted' is not known"),
        ("a.csv", "text,expected\na,b\nc,\n", "entry 2: 'expected' is missing"),
        ("a.yaml", "text: a\n", "it has to be a list"),
        ("a.yaml", "[1]", "entry 1: there is no text"),
        ("a.yaml", "- [", "is not what its name says"),
        ("a.jsonl", "{", "is not what its name says"),
        ("a.txt", "a", ".txt is not known"),
        ("a.csv", "text,expected\n", "has no phrases"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_what(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InvalidConfigurationError, match=told):
        read_phrases(file)


@pytest.mark.parametrize(
    ("expected", "decision", "verdict"),
    [
        ("billing-agent", to("billing-agent", "explain"), Verdict.RIGHT),
        ("explain", to("billing-agent", "explain"), Verdict.RIGHT),
        ("billing-agent/explain", to("billing-agent", "explain"), Verdict.RIGHT),
        ("billing-agent/pay", to("billing-agent", "explain"), Verdict.WRONG),
        ("billing-agent", to("fault-agent"), Verdict.WRONG),
        ("billing-agent", ABSTAINED, Verdict.ABSTAINED),
        ("nobody", ABSTAINED, Verdict.RIGHT),
        ("nobody", to("small-talk-agent", mode=DecisionMode.FALLBACK), Verdict.RIGHT),
        ("small-talk-agent", to("small-talk-agent", mode=DecisionMode.FALLBACK), Verdict.RIGHT),
        ("nobody", to("billing-agent"), Verdict.WRONG),
        ("billing-agent", asked("billing-agent", "fault-agent"), Verdict.ASKED),
        ("orders-agent", asked("billing-agent", "fault-agent"), Verdict.WRONG),
    ],
)
def test_a_decision_is_judged_by_its_label(expected: str, decision: Decision, verdict: Verdict) -> None:
    [judged] = Evaluation.of([LabelledPhrase("text", expected)], [decision]).judged
    assert judged.verdict is verdict


def test_the_figures_and_the_worst_confusions_are_shown() -> None:
    nobody = LabelledPhrase("capital of France", "nobody")
    decisions = [to("billing-agent"), to("fault-agent"), to("fault-agent"), ABSTAINED, ABSTAINED]
    evaluation = Evaluation.of([BILL, BILL, BILL, BILL, nobody], decisions)
    assert evaluation.accuracy == pytest.approx(0.4)
    assert evaluation.coverage == pytest.approx(0.75)
    assert evaluation.precision == pytest.approx(1 / 3)
    file = io.StringIO()
    show_evaluation(output_to(file), evaluation)
    assert "5 phrases: accuracy 0.400, coverage 0.750, precision 0.333" in file.getvalue()
    assert "2 times billing-agent → fault-agent" in file.getvalue()
    assert "“why is my bill so high”: because" in file.getvalue()


def test_the_figures_are_there_for_scripts() -> None:
    told = json.loads(json.dumps(evaluation_json(Evaluation.of([BILL, BILL], [to("billing-agent"), ABSTAINED]))))
    assert (told["accuracy"], told["abstained"]) == (0.5, 1)
    assert told["table"] == {"billing-agent": {"billing-agent": 1, "nobody": 1}}
    assert [each["got"] for each in told["mistakes"]] == ["nobody"]
