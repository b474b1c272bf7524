"""What holds of every format: files that cannot be read, encodings, and the invariant."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from retriever.errors import ParseError
from retriever.parsing import MAX_FILE_BYTES, SUFFIXES, parse
from tests.parsing_files import check, draw_lines, draw_pdf, parse_file

SAMPLE = Path(__file__).parents[1] / "bot" / "sample" / "handbook"
DOCUMENTS = sorted(path for path in SAMPLE.rglob("*") if path.suffix in SUFFIXES)


@contextmanager
def another_user() -> Iterator[None]:
    """Run as a user who may not read everything, where the tests run as one who may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_document_of_the_sample_handbook_keeps_the_rules(path: Path) -> None:
    document = parse(path)
    check(document)
    assert document.media_type == SUFFIXES[path.suffix]
    assert any(anchor.kind == "heading" for anchor in document.anchors)
    assert len(document.text) > 1000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(ParseError, match=rf"^a{suffix} is empty \(0 bytes\)"):
        parse(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("blank.txt", " \n\t\n\x0c"),
        ("blank.md", "\n\n<!-- nothing yet -->\n"),
        ("blank.html", "<html><body><nav>Home</nav><script>1</script></body></html>"),
        ("bom.txt", "\ufeff"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(ParseError, match=f"^{name} is empty: there is no text"):
        parse_file(tmp_path, name, content)


@pytest.mark.parametrize("name", ["photo.jpeg", "README", "archive.tar.gz"])
def test_an_unknown_suffix_is_refused_with_those_that_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("text")
    with pytest.raises(ParseError, match=r"are not read; those read are \.md, .*\.docx$") as caught:
        parse(path)
    assert (path.suffix or "without a suffix") in str(caught.value)


def test_suffixes_may_be_in_capitals(tmp_path: Path) -> None:
    assert parse_file(tmp_path, "NOTES.TXT", "A note.").media_type == "text/plain"


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
@pytest.mark.parametrize(
    ("content", "at"),
    [
        (b"noise" + bytes(range(256)), 5),
        (b"text, then \x00 a null", 11),
        (b"a\x01\x02\x03\x04" * 20, 1),
    ],
)
def test_binary_data_is_refused_whatever_its_name(
    tmp_path: Path, suffix: str, content: bytes, at: int
) -> None:
    with pytest.raises(ParseError, match=rf"is not text \(binary data at byte {at}\)"):
        parse_file(tmp_path, f"picture{suffix}", content)


def test_a_stray_control_character_is_dropped(tmp_path: Path) -> None:
    document = parse_file(tmp_path, "a.txt", "Press\x07 the bell. " + "More text here. " * 30)
    assert document.text.startswith("Press the bell.")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ParseError, match=r"^large\.txt has 50 MB; files of up to 50 MB are read"):
        parse(path)


def test_a_large_page_is_refused(tmp_path: Path) -> None:
    content = b"<p>A line of text.</p>\n" * (21 * 1024 * 1024 // 23)
    with pytest.raises(ParseError, match=r"HTML files of up to 20 MB are read"):
        parse_file(tmp_path, "large.html", content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"^gone\.md does not exist; check the path"):
        parse(tmp_path / "gone.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(ParseError, match=r"^folder\.md is not a file"):
        parse(tmp_path / "folder.md")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.md"
    path.write_text("# Secret")
    path.chmod(0)
    with another_user(), pytest.raises(ParseError, match=r"^secret\.md cannot be read: permission"):
        parse(path)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Die Räume für Gäste: 20 € am Tag, “frei”"),
        ("utf-8-sig", "Die Räume für Gäste: 20 € am Tag"),
        ("utf-16", "Die Räume für Gäste"),
        ("utf-16-le", "Rooms for guests, from Notepad"),
        ("utf-16-be", "Rooms for guests, from elsewhere"),
        ("utf-32", "Die Räume für Gäste"),
        ("cp1252", "Don’t use the “old” printer — it costs £20."),
        ("cp1252", "Le café est fermé à midi; déjà prévu pour l'été."),
        ("cp1252", "Frågor ställs till löneavdelningen, senast två veckor före."),
        ("cp1250", "Zażółć gęślą jaźń. Proszę zgłosić urlop wcześniej."),
        ("cp1251", "Отпуск нужно согласовать с руководителем за две недели."),
        ("koi8-r", "Отпуск нужно согласовать с руководителем за две недели."),
        ("shift_jis", "休暇は二週間前に申請してください。詳しくは人事部まで。"),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
def test_the_encoding_is_found_out(tmp_path: Path, suffix: str, encoding: str, text: str) -> None:
    assert parse_file(tmp_path, f"a{suffix}", text.encode(encoding)).text == text


def test_a_given_encoding_is_obeyed_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("A szabadságot két héttel előre kell kérni.".encode("cp1250"))
    assert parse(path, encoding="cp1250").text.endswith("előre kell kérni.")
    with pytest.raises(ParseError, match=r"^a\.txt is not utf-8 \(byte 9\); correct the encoding"):
        parse(path, encoding="utf-8")
    with pytest.raises(ParseError, match="'klingon' is no text encoding"):
        parse(path, encoding="klingon")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("it-vpn_guide.txt", "it vpn guide"),
        ("get-started.html.md", "get started"),
        ("v1.2 notes.txt", "v1.2 notes"),
    ],
)
def test_a_document_without_a_title_is_called_by_its_file(
    tmp_path: Path, name: str, title: str
) -> None:
    assert parse_file(tmp_path, name, "some words without a heading").title == title


def test_importing_the_parser_imports_none_of_its_libraries() -> None:
    code = (
        "import sys, retriever.parsing; print([m for m in sys.modules if m.split('.')[0] in "
        "('selectolax', 'markdown_it', 'mammoth', 'pypdfium2', 'charset_normalizer')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_check_of_every_document_fails_on_a_wrong_one(tmp_path: Path) -> None:
    def draw(canvas: Canvas) -> None:
        draw_lines(canvas, ["One line."])
        canvas.showPage()

    for document in (
        parse_file(tmp_path, "a.md", "# One\n\ntext\n\n## Two"),
        parse_file(tmp_path, "a.pdf", draw_pdf(draw)),
    ):
        (first, *_) = document.anchors
        for wrong in (replace(first, start=first.start + 1), replace(first, end=first.end + 1)):
            with pytest.raises(AssertionError):
                check(replace(document, anchors=(wrong, *document.anchors[1:])))
        with pytest.raises(AssertionError):
            check(replace(document, text=document.text + " "))
