"""The child process and its limits."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from retriever.errors import ParseError
from retriever.parsing import SUFFIXES, parse
from retriever.parsing.isolate import parse_isolated
from retriever.parsing.limits import Limits
from tests.parsing_files import check, draw_lines, draw_pdf


def one_page() -> bytes:
    def draw(canvas: Canvas) -> None:
        draw_lines(canvas, ["The only line of the page."])
        canvas.showPage()

    return draw_pdf(draw)


def test_the_child_gives_the_same_document(tmp_path: Path) -> None:
    path = tmp_path / "guide.md"
    path.write_text("# Über uns\n\n## Räume {#rooms}\n\nText.\n", encoding="utf-8")
    document = parse_isolated(path, "text/markdown")
    check(document)
    assert document == parse(path)


def test_large_markup_is_parsed_in_a_child_like_small_markup(tmp_path: Path) -> None:
    path = tmp_path / "large.md"
    path.write_text("# Title\n\n" + "A paragraph of text.\n\n" * 5000)
    document = parse(path)
    check(document)
    assert document.text.count("A paragraph of text.") == 5000


def test_the_child_reads_a_file_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pdf").write_bytes(one_page())
    monkeypatch.chdir(tmp_path)
    assert "The only line" in parse(Path("a.pdf")).text


def test_a_module_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pdf").write_bytes(one_page())
    (tmp_path / "mammoth.py").write_text("raise SystemExit(9)")
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert "The only line" in parse(tmp_path / "a.pdf").text


def test_time_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(one_page())
    with pytest.raises(ParseError, match=r"^a\.pdf took more than 0\.001 seconds to read"):
        parse_isolated(path, SUFFIXES[".pdf"], limits=Limits(wall_seconds=0.001))


def test_processor_time_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("[" * 200_000)  # quadratic for the Markdown parser
    with pytest.raises(ParseError, match=r"^a\.md took more than 1 seconds of processor time"):
        parse_isolated(path, "text/markdown", limits=Limits(cpu_seconds=1))


def test_memory_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        paragraph = "<w:p><w:r><w:t>A paragraph of text.</w:t></w:r></w:p>"
        archive.writestr(
            "word/document.xml",
            '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
            f"<w:body>{paragraph * 20_000}</w:body></w:document>",
        )
    limits = Limits(memory_bytes=64 * 1024**2)
    with pytest.raises(ParseError, match=r"^a\.docx needs more than 64 MiB of memory"):
        parse_isolated(path, SUFFIXES[".docx"], limits=limits)
