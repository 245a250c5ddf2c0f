"""Hostile and damaged documents: each is one line in the report, and the good ones beside it are read."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import docx
import pytest
from reportlab.pdfgen.canvas import Canvas

from brain.errors import DocumentError
from brain.knowledge.confined import Reader
from brain.knowledge.document import Document
from brain.knowledge.file import read_file
from brain.knowledge.read import read_folder

HOSTILE = Path("../shared/data/security/own/hostile_files")

GOOD: dict[str, str] = {
    "a.md": "# 배송\n\n이틀 걸립니다.",
    "b.csv": "이름,값\n가,1\n",
    "c.json": '[{"이름": "가", "값": 1}]',
    "d.html": "<main><h1>환불</h1><p>됩니다.</p><table><tr><td>가<td>나</table></main>",
    "e.yaml": "faq:\n- question: 왜\n  answer: 그냥\n",
    "logs/f.txt": "고객: 교환 되나요?\n상담원: 됩니다.\n",
}


def word() -> bytes:
    document: Any = docx.Document()
    document.add_heading("반품", 1)
    document.add_paragraph("14일 이내에 하실 수 있습니다.")
    document.add_table(rows=2, cols=3).rows[0].cells[0].text = "지역"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def pdf(*, packed: bool = True, heavy: int = 0) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pageCompression=int(packed))
    canvas.drawString(100, 700, "Returns within 14 days.")
    for number in range(heavy):
        canvas.drawString(number % 500, number % 800, "word")
    canvas.save()
    return file.getvalue()


def fill(folder: Path) -> Path:
    for path, text in GOOD.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "g.docx").write_bytes(word())
    (folder / "h.pdf").write_bytes(pdf())
    return folder


def read(reader: Reader, file: Path) -> Document:
    return reader.read(file, file.name, within=file.parent.resolve())


def test_the_child_gives_the_very_document(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    documents, problems = read_folder(folder)
    assert not problems
    assert documents == [
        read_file(folder / document.path, document.path, within=folder.resolve())
        for document in documents
    ]
    assert len(documents) == len(GOOD) + 2


def test_starting_a_child_loads_nothing_heavy() -> None:
    code = (
        "import sys, brain.knowledge.file, brain.knowledge.confined;"
        "sys.exit(bool({'numpy', 'chromadb', 'docx', 'pypdf', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_secret_reaches_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "very-secret")
    with Reader() as reader:
        read(reader, fill(tmp_path) / "a.md")
        assert reader._child is not None
        environment = Path(f"/proc/{reader._child.pid}/environ").read_bytes()
    assert b"very-secret" not in environment


def test_a_document_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / "slow.pdf").write_bytes(pdf(heavy=120_000))
    with Reader(seconds=1) as reader:
        with pytest.raises(DocumentError, match="takes more than 1 s"):
            read(reader, folder / "slow.pdf")
        assert read(reader, folder / "a.md").title == "배송"


def test_a_document_that_sleeps_is_given_up(tmp_path: Path) -> None:
    fill(tmp_path)
    with Reader(seconds=1) as reader:
        read(reader, tmp_path / "a.md")
        assert reader._child is not None
        os.kill(reader._child.pid, signal.SIGSTOP)
        with pytest.raises(DocumentError, match="takes more than 1 s"):
            read(reader, tmp_path / "b.csv")
        assert read(reader, tmp_path / "b.csv").title == "b"


def test_a_document_that_needs_too_much_memory_is_given_up(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / "big.json").write_text("[" + "[]," * 3_000_000 + "[]]")
    with Reader(memory=200_000_000) as reader:
        read(reader, folder / "a.md")
        with pytest.raises(DocumentError, match="more than 200 MB of memory"):
            read(reader, folder / "big.json")
        assert read(reader, folder / "a.md").title == "배송"


def test_a_crash_of_a_parser_is_one_line(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    with Reader() as reader:
        read(reader, folder / "a.md")
        assert reader._child is not None
        os.kill(reader._child.pid, signal.SIGSEGV)
        with pytest.raises(DocumentError, match=r"crashed \(SIGSEGV\)"):
            read(reader, folder / "b.csv")
        assert read(reader, folder / "a.md").title == "배송"


def bomb(layers: int) -> bytes:
    """A page whose content unpacks to a hundred megabytes."""
    data = b" " * 1_000_000
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(data) for _ in range(100)), packer.flush()])
    for _ in range(layers - 1):
        packed = zlib.compress(packed, 9)
    plain = pdf(packed=False)
    start, end = plain.index(b"stream\n") + 7, plain.index(b"endstream")
    length = plain.rindex(b"/Length", 0, start)
    head = plain[:length].rstrip(b"<< \n")
    filters = b"<< /Filter [" + b"/FlateDecode " * layers + b"] /Length %d >>\n" % len(packed)
    return head + b"\n" + filters + b"stream\n" + packed + b"\n" + plain[end:]


def test_bombs_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / "bomb.pdf").write_bytes(bomb(2))
    with zipfile.ZipFile(folder / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", bytes(60_000_000))
    with zipfile.ZipFile(folder / "many.docx", "w") as packed:
        for number in range(12_000):
            packed.writestr(f"{number}", b"")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "manual.hwp").write_bytes(b"HWP Document File")
    documents, problems = read_folder(folder)
    assert len(documents) == len(GOOD) + 2
    reasons = {problem.path: problem.reason for problem in problems}
    assert reasons.keys() == {"bomb.pdf", "bomb.docx", "many.docx", "deep.json", "manual.hwp"}
    assert "100 times" in reasons["bomb.docx"]
    assert "12,000 files" in reasons["many.docx"]
    assert "DOCX or PDF" in reasons["manual.hwp"]


def mutated(data: bytes, chance: random.Random) -> bytes:
    kind = chance.randrange(3)
    if kind == 0:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(chance.choice((1, 10, 100))):
        at = chance.randrange(len(changed))
        changed[at : at + kind] = bytes([chance.randrange(256)])
    return bytes(changed)


def test_every_mutation_is_read_or_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    chance = random.Random(20260315)  # the same mutations every time
    sources = sorted(file for file in folder.rglob("*") if file.is_file())
    if HOSTILE.is_dir():
        sources += sorted(file for file in HOSTILE.iterdir() if 0 < file.stat().st_size < 10_000)
    expected = {file.relative_to(folder).as_posix() for file in sources if folder in file.parents}
    for number, source in enumerate(sources):
        for turn in range(15):
            name = f"mutated/{number}-{turn}{source.suffix}"
            (folder / "mutated").mkdir(exist_ok=True)
            (folder / name).write_bytes(mutated(source.read_bytes(), chance))
            expected.add(name)
    documents, problems = read_folder(folder)
    paths = {document.path for document in documents}
    assert paths | {problem.path for problem in problems} == expected
    assert len(GOOD) + 2 == sum(not path.startswith("mutated/") for path in paths)
    assert not [problem for problem in problems if "takes more" in problem.reason]


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the hostile files are not at hand")
def test_hostile_files_are_read_or_refused() -> None:
    before = time.process_time()
    documents, problems = read_folder(HOSTILE)
    read_paths = {document.path for document in documents}
    assert {"cp949.md", "crlf_mixed.md", "nul.md", "utf8_bom.md", "utf8_nfd.md"} <= read_paths
    reasons = {problem.path: problem.reason for problem in problems}
    assert {"bad_utf8.md", "empty.md", "one_line_2MB.md", "yaml_alias_bomb.yaml"} <= reasons.keys()
    assert {"yaml_deep.yaml", "yaml_norway.yaml", "yaml_python_object.yaml"} <= reasons.keys()
    assert {"pdf_bomb_1GB_2stage.pdf", "pdf_fake.pdf", "pdf_truncated.pdf"} <= reasons.keys()
    assert {"json_deep.json", "json_dup.json", "zip_bomb_50MB.zip"} <= reasons.keys()
    assert {"xml_billion_laughs.xml"} <= reasons.keys()
    assert time.process_time() - before < 20  # a bound on runaway time here, not a measurement
