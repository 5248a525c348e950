"""Generates the stubs in gen/ (Python, and Go in gen/go) and Envoy's descriptor set from protos/.

Usage: python tools/generate.py [--check]

With --check nothing is written; the exit code is 1 where the committed files are not current.
The toolchain lives in an environment of its own, because it is older than the product's
(tools/requirements-generate.txt).
Without a Go toolchain gen/go is left as it is and not checked, and that is said.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
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
# Interfaces of somebody else: no packages of ours, and so descriptor sets that are loaded into pools of their own.
FOREIGN = (Path("lmos_grpc/channels/byova/byova.proto"), Path("lmos_grpc/channels/riva/riva.proto"))
FOREIGN_DESCRIPTORS = {each: each.with_suffix(".binpb") for each in FOREIGN}
GO = shutil.which("go")
GO_STUBS = Path("gen/go")
GO_MODULE = "github.com/lmos-grpc/lmos-grpc/gen/go"
GO_MODULE_FILES = {"go.mod", "go.sum"}  # written by hand and by `go mod tidy`, beside what is generated
GO_TOOLCHAIN = ROOT / ".cache" / "generate-go"
GO_PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1",
)


def main() -> int:
    """Generate, or check what is committed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the files are not current")
    check: bool = parser.parse_args().check
    python = _toolchain()
    with tempfile.TemporaryDirectory() as scratch:
        _generate(python, Path(scratch))
        if GO:
            _generate_go(python, GO, Path(scratch) / GO_STUBS)
        else:
            print(f"go is not installed: {GO_STUBS} is left as it is", file=sys.stderr)
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
    for source in FOREIGN:
        (out / source.parent).mkdir(parents=True)
    protoc = [str(python), "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    path = f"{TOOLCHAIN / 'bin'}:/usr/bin:/bin"
    python_out = [f"--python_out={out}/gen", f"--mypy_out=quiet:{out}/gen"]
    grpc_out = [f"--grpc_python_out={out}/gen", f"--mypy_grpc_out=quiet:{out}/gen"]
    # Envoy writes the details of an error in JSON only if it knows their types; without them it writes nothing at all.
    details = [f"-I{next(TOOLCHAIN.glob('lib/python*/site-packages'))}", "google/rpc/error_details.proto"]
    descriptors = [f"--descriptor_set_out={out / DESCRIPTORS}", "--include_imports"]
    for command in (
        [*protoc, *python_out, *sources],
        [*protoc, *grpc_out, *services],
        [*protoc, *descriptors, *details, *sources],
        *(
            [
                *(str(python), "-m", "grpc_tools.protoc", f"-I{ROOT / source.parent}", "--include_imports"),
                *(f"--descriptor_set_out={out / made}", source.name),
            ]
            for source, made in FOREIGN_DESCRIPTORS.items()
        ),
    ):
        subprocess.run(command, check=True, env={"PATH": path})
    (out / "gen" / "lmos" / "py.typed").touch()


def _generate_go(python: Path, go: str, out: Path) -> None:
    plugins = GO_TOOLCHAIN / "bin"
    stamp = GO_TOOLCHAIN / "plugins.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(GO_PLUGINS):
        for plugin in GO_PLUGINS:
            subprocess.run([go, "install", plugin], check=True, env={**os.environ, "GOBIN": str(plugins)})
        stamp.write_text("\n".join(GO_PLUGINS))
    out.mkdir()
    outputs = [f"--{kind}_{what}" for kind in ("go", "go-grpc") for what in (f"out={out}", f"opt=module={GO_MODULE}")]
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    protoc = [str(python), "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    subprocess.run([*protoc, *outputs, *sources], check=True, env={"PATH": f"{plugins}:/usr/bin:/bin"})


def _files(top: Path) -> set[Path]:
    found = {path.relative_to(top) for path in (top / "gen").rglob("*") if path.is_file()}
    return {path for path in found if _is_generated(path)} | {DESCRIPTORS, *FOREIGN_DESCRIPTORS.values()}


def _is_generated(path: Path) -> bool:
    if path.is_relative_to(GO_STUBS):
        return GO is not None and path.name not in GO_MODULE_FILES
    return "__pycache__" not in path.parts


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
