"""How well a mesh routes the phrases that a team has labelled."""

from lmos_grpc.cli.evaluation.evaluation import Evaluation, Verdict
from lmos_grpc.cli.evaluation.labelled_phrase import LabelledPhrase, read_phrases

__all__ = ["Evaluation", "LabelledPhrase", "Verdict", "read_phrases"]
