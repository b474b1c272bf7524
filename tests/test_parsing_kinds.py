"""What files are whatever their names say: another kind, noise, text in any encoding."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path
from random import Random

import pytest

from retriever.errors import ParseError
from retriever.parsing import parse
from tests.documents import make_pdf
from tests.parsing_files import parse_file

PDF = make_pdf([["Everybody is paid alike."]])
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", PDF, "a PDF named .txt; rename it to .pdf"),
        ("a.MD", PDF, "a PDF named .MD; rename it to .pdf"),
        ("a.docx", PDF, "a PDF named .docx; rename it to .pdf"),
        ("a.txt", b"\xef\xbb\xbf\n" + PDF, "a PDF named .txt; rename it to .pdf"),
        ("a.txt", b"%PDF-1.4\r1 0 obj<</Length 9>>stream", "a PDF named .txt; rename it to .pdf"),
        ("a.txt", PDF[: len(PDF) // 2], "a PDF named .txt; rename it to .pdf"),
        ("a.pdf", zipped("word/document.xml"), "a Word document named .pdf; rename it to .docx"),
        ("a.md", zipped("word/document.xml"), "a Word document named .md; rename it to .docx"),
        ("a.docx", zipped("xl/workbook.xml"), "an Excel workbook named .docx; export it as PDF"),
        ("a.txt", zipped("ppt/presentation.xml"), "a PowerPoint presentation named .txt; export"),
        ("a.html", zipped("notes.txt"), "a zip archive named .html; unpack it"),
        ("a.pdf", b"<!DOCTYPE html><p>Log in", "an HTML page named .pdf; rename it to .html"),
        ("a.docx", b"\n<html lang=en>", "an HTML page named .docx; rename it to .html"),
        ("a.txt", gzip.compress(b"Dear all"), "a gzip archive named .txt; unpack it"),
        ("a.txt", bz2.compress(b"Dear all"), "a bzip2 archive named .txt; unpack it"),
        ("a.txt", lzma.compress(b"Dear all"), "an xz archive named .txt; unpack it"),
        ("a.txt", b"\0" * 257 + b"ustar\x0000", "a tar archive named .txt; unpack it"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image named .txt; images are not read"),
        ("a.pdf", b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image named .pdf; images are not read"),
        ("a.md", b"GIF89a\x01\0\x01\0", "a GIF image named .md; images are not read"),
        ("a.txt", b"RIFF\x24\0\0\0WAVEfmt ", "an image or a recording named .txt; write down"),
        ("a.txt", b"\0\0\0\x18ftypmp42", "a video or an image named .txt; write down"),
        ("a.txt", b"{\\rtf1\\ansi Dear all}", "an RTF file named .txt; save it as .docx"),
        ("a.txt", b"SQLite format 3\0\x10\0", "an SQLite database named .txt; export it as text"),
        (
            "a.txt",
            OLE + "WordDocument".encode("utf-16-le"),
            "a document of Word 97-2003 named .txt",
        ),
        ("a.pdf", OLE + "EncryptedPackage".encode("utf-16-le"), "an encrypted office file named"),
    ],
)
def test_a_file_with_the_name_of_another_kind_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(ParseError, match="^" + re.escape(f"{name} is {message}")):
        parse_file(tmp_path, name, content)


@pytest.mark.parametrize(
    "text",
    [
        "%PDF-1.7 is what a PDF begins with.",
        "PK is how a zip archive begins.",
        "GIF89a images are not to be used.",
        "BZh91AY&SY are the first ten characters of a bzip2 archive.",
        "<!DOCTYPE html> is the first line of our template.",
        "%PDF-1.7 is the first line. Then come objects, such as 1 0 obj.",
        "%PDF-1.7 is the first line. A stream is in an object, from 1 0 obj to endobj.",
        "{\\rtf1 is how an RTF file begins.",
        "RIFF or WAVE files are recordings.",
        "A tar archive says so later. " + "Wait. " * 38 + "ustar stands at byte 257.",
    ],
)
def test_a_text_about_a_kind_of_file_is_a_text(tmp_path: Path, text: str) -> None:
    assert parse_file(tmp_path, "formats.txt", text).text == text


def noise(size: int, allowed: bytes, seed: int = 0) -> bytes:
    """Bytes without order, the same ones each time."""
    return bytes(Random(seed).choices(allowed, k=size))


PRINTABLE = bytes(code for code in range(9, 256) if code not in {*range(14, 32), 127})
LETTERS = bytes(code for code in range(256) if bytes([code]).decode("latin-1").isalpha())


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
@pytest.mark.parametrize(
    "content",
    [
        noise(4000, bytes(range(1, 256))),
        noise(4000, PRINTABLE),
        noise(300, PRINTABLE, seed=1),
        noise(40, LETTERS, seed=2),
        noise(40, LETTERS, seed=3),
        noise(80_000, LETTERS),
        noise(4000, bytes(range(0xA0, 0x100))),
        b"\xff\xfe" + noise(40, bytes(range(1, 0xD8)), seed=4),
        b"\xff\xfe" + noise(4000, bytes(range(1, 0xD8))),
        b"<meta charset=latin1>" + noise(4000, PRINTABLE),
        "Eine Notiz für alle Gäste. ".encode("cp1252") * 400 + noise(10_000, PRINTABLE),
    ],
    ids=lambda content: f"{content[:3]!r}-{len(content)}",
)
def test_noise_is_refused_though_it_could_be_decoded(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    with pytest.raises(ParseError, match=r"^a\.\w+ is not (text|utf-16)") as caught:
        parse_file(tmp_path, f"a{suffix}", content)
    assert re.search("name it by what it is|save the file as UTF-8", str(caught.value))


@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.parametrize(
    ("encodings", "text"),
    [
        ("cp1252 utf-16", "Größe des Büros: 25 m² bei 21 °C; Gäste zahlen 20 € für „alles“."),
        ("cp1252 utf-16", "Les congés s’élèvent à 25 jours ; où déposer la demande ? À l’accueil."),
        ("cp1252 utf-16", "El año próximo: ¿quién señala el día? ¡Mañana! Está en la página nº 4."),
        ("cp1252 utf-16", "UPPHÖR ATT GÄLLA NÄR ÅRET ÄR SLUT. Övriga frågor ställs på mötet."),
        ("cp1250 utf-16", "Każdy pracownik ma prawo do dwudziestu dni urlopu w ciągu roku."),
        ("cp1250 utf-16", "Příliš žluťoučký kůň úpěl ďábelské ódy a zaměstnanec šel domů."),
        ("cp1251 koi8-r utf-16", "Каждый сотрудник имеет двадцать дней отпуска. Пишите в Slack."),
        ("cp1253 utf-16", "Κάθε εργαζόμενος έχει είκοσι ημέρες άδειας τον χρόνο."),
        ("cp1254 utf-16", "Her çalışanın yirmi gün izin hakkı vardır; şirket ışığı söndürür."),
        ("cp1255 utf-16", "לכל עובד מגיעים עשרים ימי חופשה בשנה."),
        ("cp1256 utf-16", "لكل موظف عشرون يوما من الإجازة السنوية."),
        ("cp932 euc-jp utf-16", "社員には年に二十日の休暇があります。Slackで申請してください。"),
        ("cp932 euc-jp utf-16", "サーバーとプリンターの設定はユーザーがメーカーのページで行う。"),
        ("cp932 euc-jp utf-16", "サーバー、プリンター、ユーザー、エラー、フォルダー、ルーター"),
        ("gb18030 utf-16", "每名员工每年有二十天假期，请在Slack上申请。如有问题，请联系人事部门。"),
        ("big5 utf-16", "每名員工每年有二十天假期，請在網站上申請。如有問題，請聯絡人事部門。"),
        ("euc-kr utf-16", "모든 직원은 연간 이십 일의 휴가를 받습니다. Slack에서 신청하세요."),
        ("utf-16", "Mỗi nhân viên có hai mươi ngày nghỉ phép. हर कर्मचारी को छुट्टी मिलती है।"),
        ("utf-16", "✅Done ❌Stopped 🎉Party 👍Good ➜Go ★Star ☀Sun ☂Rain ☎Call ✈Fly"),
        ("utf-16", "10 kΩ, 20 MΩ, 3 µm, café, naïve, Øresund, iPhone® and MacBook™"),
    ],
)
def test_text_of_many_languages_is_no_noise(
    tmp_path: Path, encodings: str, text: str, times: int
) -> None:
    content = "\n\n".join([text] * times)
    for encoding in encodings.split():
        path = tmp_path / f"{encoding}.txt"
        path.write_bytes(content.encode(encoding))
        known = parse(path)  # which of the older encodings it was is a guess
        assert len(known.text) >= 0.9 * len(content), encoding
        if encoding == "utf-16":
            assert known.text == content.replace("\xa0", " ")
        assert parse(path, encoding=encoding).text == content.replace("\xa0", " ")
