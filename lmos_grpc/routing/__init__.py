"""Who gets a turn: governance, conversation and classification, in one pure decision."""

from lmos_grpc.routing.background_learning import BackgroundLearning, learning_in_background
from lmos_grpc.routing.classifier import Classifier, Offer, Score
from lmos_grpc.routing.decide import Router
from lmos_grpc.routing.lane import LaneChoice
from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier
from lmos_grpc.routing.settings import ExpressLane, RoutingSettings

__all__ = [
    "BackgroundLearning",
    "Classifier",
    "ExpressLane",
    "LaneChoice",
    "LexicalEmbeddingClassifier",
    "Offer",
    "Router",
    "RoutingSettings",
    "Score",
    "learning_in_background",
]
