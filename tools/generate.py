"""Generates the Python stubs in gen/ and Envoy's descriptor set from protos/.

Usage: python tools/generate.py [--check]

With --check nothing is written; the exit code is 1 where the committed files are not current.
The toolchain lives in an environment of its own, because it is older than the product's (tools/requirements-generate.txt).
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
REQUIREMENTS = ROOT / "tools" / "requirements-generate.txt"
TOOLCHAIN = ROOT / ".cache" / "generate"
DESCRIPTORS = Path("envoy/lmos_descriptors.binpb")


def main() -> int:
    """Generate, or check what is committed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the files are not current")
    check: bool = parser.parse_args().check
    python = _toolchain()
    with tempfile.TemporaryDirectory() as scratch:
        _generate(python, Path(scratch))
        return _compare(Path(scratch)) if check else _install(Path(scratch))


def _toolchain() -> Path:
    python = TOOLCHAIN / "bin" / "python"
    stamp = TOOLCHAIN / "requirements.txt"
    if not stamp.exists() or not filecmp.cmp(stamp, REQUIREMENTS, shallow=False):
        venv.create(TOOLCHAIN, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
        stamp.write_bytes(REQUIREMENTS.read_bytes())
    return python


def _generate(python: Path, out: Path) -> None:
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    services = [source for source in sources if "\nservice " in (PROTOS / source).read_text()]
    (out / "gen").mkdir()
    (out / "envoy").mkdir()
    protoc = [str(python), "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    path = f"{TOOLCHAIN / 'bin'}:/usr/bin:/bin"
    python_out = [f"--python_out={out}/gen", f"--mypy_out={out}/gen"]
    grpc_out = [f"--grpc_python_out={out}/gen", f"--mypy_grpc_out={out}/gen"]
    descriptors = [f"--descriptor_set_out={out / DESCRIPTORS}", "--include_imports"]
    for command in ([*protoc, *python_out, *descriptors, *sources], [*protoc, *grpc_out, *services]):
        subprocess.run(command, check=True, env={"PATH": path})
    (out / "gen" / "lmos" / "py.typed").touch()


def _files(top: Path) -> set[Path]:
    generated = {path.relative_to(top) for path in (top / "gen").rglob("*") if path.is_file()}
    return {path for path in generated if "__pycache__" not in path.parts} | {DESCRIPTORS}


def _compare(fresh: Path) -> int:
    wanted, present = _files(fresh), _files(ROOT)
    stale = sorted(
        str(path)
        for path in wanted | present
        if path not in wanted or not (ROOT / path).exists() or (fresh / path).read_bytes() != (ROOT / path).read_bytes()
    )
    for path in stale:
        print(f"not current: {path}; run `make generate`", file=sys.stderr)
    return 1 if stale else 0


def _install(fresh: Path) -> int:
    for path in _files(ROOT) - _files(fresh):
        (ROOT / path).unlink(missing_ok=True)
    for path in _files(fresh):
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes((fresh / path).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
