"""What a mesh needs of this machine, checked one by one, each finding with how to mend it."""

from lmos_grpc.cli.doctor.examination import examine
from lmos_grpc.cli.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]
