"""Discovery: who is alive and what they can do, under leases, with a watch that misses nothing."""

from lmos_grpc.discovery.grpc_card_probe import GrpcCardProbe
from lmos_grpc.discovery.registration import Registration
from lmos_grpc.discovery.registry import Registry, RegistryCounts, RegistrySettings
from lmos_grpc.discovery.registry_host import RegistryHost, open_registry
from lmos_grpc.discovery.registry_store import RegistryChanges, RegistryState, RegistryStore, StoredRegistry
from lmos_grpc.discovery.service import DISCOVERY_SERVICE, DiscoveryHandlers, add_discovery_service, serve_discovery
from lmos_grpc.discovery.sqlite_registry_store import SqliteRegistryStore
from lmos_grpc.discovery.verifier import CardProbe, RegistrationVerifier
from lmos_grpc.discovery.watch import Watch, WatchSettings

__all__ = [
    "DISCOVERY_SERVICE",
    "CardProbe",
    "DiscoveryHandlers",
    "GrpcCardProbe",
    "Registration",
    "RegistrationVerifier",
    "Registry",
    "RegistryChanges",
    "RegistryCounts",
    "RegistryHost",
    "RegistrySettings",
    "RegistryState",
    "RegistryStore",
    "SqliteRegistryStore",
    "StoredRegistry",
    "Watch",
    "WatchSettings",
    "add_discovery_service",
    "open_registry",
    "serve_discovery",
]
