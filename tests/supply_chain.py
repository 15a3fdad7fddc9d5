"""The project's dependencies: are they bounded, what are their licences, is any known to be vulnerable?

python -m tests.supply_chain [--json]

Vulnerabilities are those that pip-audit finds for the installed versions. If it is not installed, reaches no database,
or reaches one without a distribution (such as a mirror of the package index), that is reported and is not a success:
the exit status is 3. It is 1 if a dependency has no upper bound, a licence that is not known to be free, or a
vulnerability.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
_FREE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|PSF|Python Software Foundation|ISC|MPL|Mozilla|HPND|Zlib|CC0|LGPL|GPL|Public Domain)", re.I
)
# Known not to be free: dependencies of PyTorch's wheels for NVIDIA GPUs. A CPU build has none of them.
_KNOWN = re.compile(r"^(nvidia-|cuda-)")


def project() -> dict[str, Any]:
    """The project's own table in pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def unbounded() -> list[str]:
    """Dependencies that allow any later version."""
    table = project()
    extras = table["optional-dependencies"]
    lines = [*table["dependencies"], *(line for group in extras.values() for line in group)]
    return [
        line for line in lines if not any(s.operator in ("<", "<=", "==", "~=") for s in Requirement(line).specifier)
    ]


def tree() -> dict[str, metadata.Distribution]:
    """The installed distributions that the project needs, directly or not, by normalised name."""
    table = project()
    waiting = [*table["dependencies"], *(line for group in table["optional-dependencies"].values() for line in group)]
    found: dict[str, metadata.Distribution] = {}
    while waiting:
        requirement = Requirement(waiting.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            found[name] = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # belongs to an extra that is not installed here
        waiting += found[name].requires or []
    return dict(sorted(found.items()))


def licence(distribution: metadata.Distribution) -> str:
    """The licence of a distribution, in a few words."""
    meta = distribution.metadata
    classifiers = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    text = (
        "".join(meta.get_all("License-Expression") or [])
        or "; ".join(c for c in classifiers if c != "OSI Approved")
        or "".join(meta.get_all("License") or []).strip()
    )
    if not text:
        files = [f for f in distribution.files or [] if "licen" in f.name.lower()]
        lines = [line.strip() for file in files for line in file.read_text().splitlines() if line.strip()]
        text = next((line for line in lines if _FREE.search(line)), lines[0] if lines else "not stated")
    return text.splitlines()[0][:80]


def audit(distributions: dict[str, metadata.Distribution]) -> tuple[list[str], dict[str, str]]:
    """Known vulnerabilities of installed versions, and, by name, why a distribution could not be checked."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={d.version.partition('+')[0]}\n" for name, d in distributions.items())
        file.flush()
        words = [
            sys.executable,
            "-m",
            "pip_audit",
            "--format",
            "json",
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
        ]
        done = subprocess.run(
            [*words, "--requirement", file.name], capture_output=True, text=True, check=False, timeout=900
        )
    return answered(distributions, done.stdout, done.stderr)


def answered(distributions: Iterable[str], out: str, err: str) -> tuple[list[str], dict[str, str]]:
    """The output of pip-audit, as vulnerabilities and as reasons why distributions were not checked."""
    try:
        found = {d["name"]: d for d in json.loads(out)["dependencies"]}
    except ValueError:
        lines = [line.strip() for line in err.splitlines() if line.strip()]
        return [], dict.fromkeys(distributions, lines[-1][:200] if lines else "no answer")
    vulnerable = [f"{d['name']} {d['version']}: {v['id']}" for d in found.values() for v in d.get("vulns", [])]
    unasked = {name: found.get(name, {"skip_reason": "no answer"}).get("skip_reason") for name in distributions}
    return vulnerable, {name: str(reason) for name, reason in unasked.items() if reason}


def main() -> int:
    """Print the findings; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.supply_chain", description="Bounds, licences and known vulnerabilities."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--only", nargs="*", help="check only these packages for vulnerabilities")
    options = parser.parse_args()
    distributions = tree()
    licences = {name: licence(distribution) for name, distribution in distributions.items()}
    unfree = [name for name, text in licences.items() if not _FREE.search(text) and not _KNOWN.match(name)]
    asked = {name: d for name, d in distributions.items() if options.only is None or name in options.only}
    vulnerable, unasked = audit(asked)
    found = {
        "unbounded": unbounded(),
        "licences": licences,
        "unfree": unfree,
        "vulnerable": vulnerable,
        "audited": sorted(set(asked) - set(unasked)),
        "not_audited": unasked,
    }
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        for name, text in licences.items():
            print(f"{name:<36} {distributions[name].version:<24} {text}")
        print(f"{len(distributions)} distributions; without an upper bound: {', '.join(unbounded()) or 'none'}")
        print(
            f"licences that are not known to be free: {', '.join(unfree) or 'none'}, except NVIDIA's libraries of"
            " PyTorch's GPU builds"
        )
        if len(asked) > len(unasked):
            print(
                f"vulnerabilities of {len(asked) - len(unasked)} distributions: {', '.join(vulnerable) or 'none known'}"
            )
        if unasked:
            print(
                f"vulnerabilities of {len(unasked)} could not be checked, among them {next(iter(unasked))}:"
                f" {next(iter(unasked.values()))}"
            )
    if found["unbounded"] or unfree or vulnerable:
        return 1
    return 3 if unasked else 0


if __name__ == "__main__":
    sys.exit(main())
