"""PDF: what a person reads on the pages, in sections, without what surrounds it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, StreamObject
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from brain.errors import DocumentError
from brain.knowledge.document import Content
from brain.knowledge.pdf import read_pdf

FONT = "HYGothic-Medium"
pdfmetrics.registerFont(UnicodeCIDFont(FONT))
BODY = ParagraphStyle("body", fontName=FONT, fontSize=10, leading=14, wordWrap="CJK")
HEADING = ParagraphStyle("heading", BODY, fontSize=14, leading=20, spaceBefore=10)
TITLE = ParagraphStyle("title", BODY, fontSize=20, leading=28)

LONG = (
    "상품을 받으신 날부터 14일 이내에 반품하실 수 있습니다. 단순 변심의 경우 왕복 배송비 6,000원은 고객님 부담이며, "
    "초기 불량의 경우에는 배송비를 받지 않습니다."
)


def pdf(*story: Any, title: str = "", footer: str = "") -> bytes:
    file = io.BytesIO()

    def foot(canvas: Canvas, page: SimpleDocTemplate) -> None:
        canvas.setFont(FONT, 8)
        canvas.drawString(60, 30, footer.format(page.page))

    SimpleDocTemplate(file, title=title).build(list(story), onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


def sections(content: Content) -> list[tuple[str, list[str]]]:
    return [
        (" > ".join(section.heading), [part for block in section.blocks for part in block.parts])
        for section in content.sections
    ]


def test_pages_become_sections_under_the_headings_that_are_set_larger() -> None:
    style = [("FONTNAME", (0, 0), (-1, -1), FONT)]
    table = Table([["지역", "요금"], ["제주", "3,000원"], ["울릉도", "5,000원"]], style=style)
    story = [
        Paragraph("반품 안내", TITLE),
        Paragraph("반품 기간", HEADING),
        Paragraph(LONG, BODY),
        Paragraph("• 개봉한 소프트웨어", BODY),
        Paragraph("• 설치한 가전", BODY),
        PageBreak(),
        Paragraph("추가 요금", HEADING),
        table,
        PageBreak(),
        Paragraph("문의", HEADING),
        Paragraph("Q. 언제 처리되나요?", BODY),
        Paragraph("A. 3영업일 안에 처리됩니다.", BODY),
    ]
    content = read_pdf(pdf(*story, footer="테크마켓 - {} -"), "file")
    assert content.title == content.metadata["title"] == "반품 안내"
    assert sections(content) == [
        ("반품 안내 > 반품 기간", [LONG, "• 개봉한 소프트웨어", "• 설치한 가전"]),
        ("반품 안내 > 추가 요금", ["지역 요금\n제주 3,000원\n울릉도 5,000원"]),
        ("반품 안내 > 문의 > 언제 처리되나요?", ["3영업일 안에 처리됩니다."]),
    ]


@pytest.mark.parametrize(
    ("title", "shown"),
    [("환불 규정", "환불 규정"), ("Microsoft Word - 환불.docx", "file"), ("", "file")],
)
def test_a_title_that_a_program_made_up_is_none(title: str, shown: str) -> None:
    assert read_pdf(pdf(Paragraph(LONG, BODY), title=title), "file").title == shown


@pytest.mark.parametrize(
    ("code", "data"), [("/FlateDecode", b"x\x9c" + b"\xff" * 50), ("/No", b"abc")]
)
def test_one_broken_page_does_not_cost_the_others(code: str, data: bytes) -> None:
    pages = (Paragraph("첫 쪽입니다.", BODY), PageBreak(), Paragraph("둘째 쪽입니다.", BODY))
    writer = PdfWriter(PdfReader(io.BytesIO(pdf(*pages))))
    stream = StreamObject()
    stream.set_data(data)
    stream[NameObject("/Filter")] = NameObject(code)
    writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)
    file = io.BytesIO()
    writer.write(file)
    content = read_pdf(file.getvalue(), "file")
    assert sections(content) == [("file", ["둘째 쪽입니다."])]
    assert "page 1" in content.missing


def locked(password: str) -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(pdf(Paragraph(LONG, BODY)))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def test_a_file_that_only_forbids_changes_is_read() -> None:
    assert sections(read_pdf(locked(""), "file")) == [("file", [LONG])]


def picture() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.rect(100, 100, 200, 200)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>no pdf</html>", "not a PDF"),
        (picture(), "no text in it"),
        (locked("secret"), "password"),
        (b"%PDF-1.7\n" + b"\0" * 100, "damaged"),
    ],
    ids=["html", "scan", "locked", "damaged"],
)
def test_one_clear_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        read_pdf(data, "file")
