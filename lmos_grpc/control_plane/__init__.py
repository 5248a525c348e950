"""What Envoy is told: clusters over delta ADS, and how its own process is configured and run."""

from lmos_grpc.control_plane.bootstrap import LOCAL_ORIGINS, EnvoySettings, render_bootstrap
from lmos_grpc.control_plane.envoy_process import RunningEnvoy, find_envoy, run_envoy
from lmos_grpc.control_plane.service import AdsService

__all__ = [
    "LOCAL_ORIGINS",
    "AdsService",
    "EnvoySettings",
    "RunningEnvoy",
    "find_envoy",
    "render_bootstrap",
    "run_envoy",
]
