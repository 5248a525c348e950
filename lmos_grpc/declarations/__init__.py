"""Tenants, channels and agents as their operators declare them in YAML files: read, checked, kept in step."""

from lmos_grpc.declarations.json_schema import json_schema
from lmos_grpc.declarations.problem import Problem
from lmos_grpc.declarations.reading import NOT_A_DECLARATION, Reading, read_rules
from lmos_grpc.declarations.watching import RulesWatch

__all__ = ["NOT_A_DECLARATION", "Problem", "Reading", "RulesWatch", "json_schema", "read_rules"]
