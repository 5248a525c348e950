"""The express lane: decides on a turn by its first message, and gets out of the way of its answer."""

from lmos_grpc.express.conversations import Conversations
from lmos_grpc.express.lane_keeper import LaneKeeper
from lmos_grpc.express.service import serve_router
from lmos_grpc.express.turn_recorder import TurnRecorder

__all__ = ["Conversations", "LaneKeeper", "TurnRecorder", "serve_router"]
