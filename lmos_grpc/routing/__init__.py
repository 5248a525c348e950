"""Who gets a turn: governance, conversation and classification, in one pure decision."""

from lmos_grpc.routing.background_learning import BackgroundLearning, learning_in_background
from lmos_grpc.routing.classifier import Classifier, Offer, Score
from lmos_grpc.routing.decide import Router
from lmos_grpc.routing.lane import LaneChoice
from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier
from lmos_grpc.routing.own_curve import Curve
from lmos_grpc.routing.second_look import SecondLook
from lmos_grpc.routing.second_opinion import Consultant, SecondOpinion
from lmos_grpc.routing.sentence_classifier import sentence_classifier
from lmos_grpc.routing.settings import ClassifierKind, ExpressLane, OpinionKind, OpinionSettings, RoutingSettings

__all__ = [
    "BackgroundLearning",
    "Classifier",
    "ClassifierKind",
    "Consultant",
    "Curve",
    "ExpressLane",
    "LaneChoice",
    "LexicalEmbeddingClassifier",
    "Offer",
    "OpinionKind",
    "OpinionSettings",
    "Router",
    "RoutingSettings",
    "Score",
    "SecondLook",
    "SecondOpinion",
    "learning_in_background",
    "sentence_classifier",
]
