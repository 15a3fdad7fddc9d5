"""The documentation is true: generated pages are current, links work, excerpts match published outputs, and all code
blocks run.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import xception
from ablations.design.fields import catalogue
from benchmarks.docs import pages
from tests.command import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
ELSEWHERE = {DOCS / "how_to_add.md"}  # tests/test_how_to_add.py executes its blocks
FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PROSE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each block of a page, unindented."""
    for indent, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        yield language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE)


def test_generated_pages_are_those_of_the_code() -> None:
    stale = [
        name
        for name, page in pages(ROOT / "results").items()
        if not (DOCS / name).is_file() or (DOCS / name).read_bytes() != page
    ]
    assert stale == [], "python -m benchmarks.docs writes them again"


def slug(heading: str) -> str:
    """The anchor of a heading in a built page."""
    plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain.encode("ascii", "ignore").decode()).strip())


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = PROSE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if place:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert place in {slug(heading) for heading in headings}, link


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [str(p.relative_to(DOCS)) for p in PAGES[1:] if f": {p.relative_to(DOCS)}\n" not in navigation] == []


OTHERS = {
    "--nproc-per-node",
    "--head",
    "--port",
    "--address",
    "--nodes",
    "--short",
    "--json",
    "--help",
    "--strict",
    "--dist",
}


def test_flags_files_and_fields_that_pages_name_exist() -> None:
    """Every flag is in some `--help`, every file of the project exists, every field is in the catalogue."""
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", (DOCS / "command_line.md").read_text(encoding="utf-8")))
    unknown = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *(block for _, block in blocks(page))])
        unknown += [
            f"{page.name}: {flag}"
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", code)
            if flag not in flags | OTHERS
        ]
        files = re.findall(
            r"`((?:xception|ablations|search|benchmarks|tests|docs|results|examples)/[\w/]+\.\w+)`", text
        )
        unknown += [
            f"{page.name}: {name}"
            for name in files
            if not name.startswith("results/local") and not (ROOT / name).exists()
        ]
        fields = re.findall(r"\b(?:model|recipe|dataset)\.[a-z_]+(?:\.[a-z_]+)*\b(?![(_])", code)
        unknown += [f"{page.name}: {field}" for field in fields if not catalogue().has(field)]
    assert unknown == []


def published() -> dict[str, set[str]]:
    """The lines of the published outputs by the command in their first line."""
    found: dict[str, set[str]] = {}
    results = ROOT / "results"
    for path in (p for p in results.rglob("*.txt") if p.relative_to(results).parts[0] != "local"):
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        found[first] = {line.strip() for line in rest}
    return found


def test_outputs_that_are_shown_are_outputs_that_are_published() -> None:
    outputs = published()
    shown = [text.splitlines() for page in PAGES for language, text in blocks(page) if language == "text"]
    excerpts = [lines for lines in shown if lines[0].startswith("$ ")]
    assert len(excerpts) > 10
    for command, *lines in excerpts:
        missing = [line for line in lines if line.strip() not in outputs[command]]
        assert not missing, command


def test_the_readme_is_one_page_and_the_version_is_one() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 7 * 1024
    assert f"\nversion: {xception.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert (
        re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
        == xception.__version__
    )


def run(words: list[str]) -> None:
    """Run a command of a page in this process."""
    assert words[0] == "python", words
    module, rest = (f"{words[2]}.__main__", words[3:]) if words[1] == "-m" else ("run_ablation", words[2:])
    try:
        status = importlib.import_module(module).main(rest)
    except SystemExit as end:
        status = end.code
    assert status in (0, None), words


def masked(line: str) -> str:
    """A line without its numbers, which differ between machines."""
    return re.sub(r"[0-9][0-9.,]*", "N", line).strip()


@pytest.mark.long
@pytest.mark.filterwarnings("default")
def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one folder, page by page, as a reader would; an `output` block shows what the commands before it print."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table_quick_cpu").symlink_to(ROOT / "results" / "table_quick_cpu")
    num_commands = 0
    for page in PAGES:
        if page in ELSEWHERE:
            continue
        names: dict[str, object] = {"__name__": "__page__"}
        printed: set[str] = set()
        for language, text in blocks(page):
            if language == "sh":
                capsys.readouterr()
                for line in text.splitlines():
                    if words := shlex.split(line, comments=True):
                        run(words)
                        num_commands += 1
                printed = {masked(line) for stream in capsys.readouterr() for line in stream.splitlines()}
            elif language == "python":
                exec(compile(text, f"{page.name}", "exec"), names)
                if "STUDY" in names:
                    Path("own_study.py").write_text(text, encoding="utf-8")
                    run(shlex.split("python run_ablation.py --study own_study.py --dry-run --dataset synthetic"))
            elif language == "output":
                shown = [masked(line) for line in text.splitlines() if line.strip() != "…"]
                assert shown, page
                assert not [line for line in shown if line not in printed], page
    assert num_commands > 10


@pytest.mark.long
def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    """The wheel contains the front door, studies, templates and embedded images; dependencies are installed here."""
    wheels = tmp_path / "wheels"
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "-q",
        "-w",
        str(wheels),
        str(ROOT),
    ]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = wheels.glob("*.whl")
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")

    def outside(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for module in ("run_ablation", "ablations", "search", "xception"):
        assert "usage:" in outside("-m", module, "--help")
    where = outside("-c", "import ablations, run_ablation; print(ablations.__file__, run_ablation.__file__)")
    assert [path.startswith(str(site)) for path in where.split()] == [True, True]
    outside("-m", "run_ablation", "--study", "residuals", "--scale", "smoke", "--dataset", "synthetic")
    (report,) = (tmp_path / "results" / "local").glob("*/report.html")
    assert "Verdicts" in report.read_text(encoding="utf-8")
