"""What Envoy is told: clusters over delta ADS from the live view, its bootstrap, and its process."""

from lmos_grpc.control_plane.service import AdsService

__all__ = ["AdsService"]
