"""FAQ YAML, CSV and JSON: structured data read into entries and rows that read as sentences."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline, row_sentence
from brain.knowledge.front_matter import VALID, kept, title_of
from brain.knowledge.strict_yaml import load_mapping

QUESTIONS = frozenset({"질문", "question", "q", "문의"})
"""Column and key names of a question, in lower case."""
ANSWERS = frozenset({"답변", "answer", "a", "답"})
"""Those of its answer."""
ABOUT = frozenset({"title", "category", "date", "locale", "tags", "kind", *VALID})
"""Keys at the top of a JSON object that speak of the document instead of being in it."""

LONGEST_SENTENCE = 600
"""Characters: a JSON object that is longer when read as one sentence becomes a section of its own."""
_LONGEST_LABEL = 60
_DEEPEST = 20
_NAMES = frozenset({"name", "title", "이름", "제목", "상품명", "제품명", "모델명"})


def read_faq(text: str, name: str) -> Content:
    """A YAML mapping with title, category and so on, and `faq`: a list of questions with answers."""
    document = load_mapping(text)
    entries = document.pop("faq", None)
    metadata = kept(document)
    outline = Outline(title_of(metadata) or name)
    _add_faq(outline, entries)
    return _content(outline, metadata)


def read_csv(text: str, name: str) -> Content:
    """A table with a header row; a row reads `column: value, column: value`.

    A table with a question and an answer column is a FAQ.
    """
    header, rows = table(text)
    outline = Outline(name)
    asked, answered = column(header, QUESTIONS), column(header, ANSWERS)
    for row in rows:
        if asked is not None and answered is not None:
            _add_question_row(outline, header, row + [""] * len(header), asked, answered)
        else:
            label = next((value for value in row if _wordy(value)), "")
            outline.heading(1, label if len(label) <= _LONGEST_LABEL else "")
            outline.add("record", [row_sentence(header, row)])
    return _content(outline, {})


def read_json(text: str, name: str) -> Content:
    """An object or a list, whatever its shape.

    A list of flat objects is read like CSV, `faq` and lists of questions with answers like FAQ YAML;
    other keys are headings over what they hold.
    """
    return _read_value(load_json(text), name)


def read_jsonl(text: str, name: str) -> Content:
    """One JSON value on each line, together a list."""
    return _read_value(load_jsonl(text), name)


def table(text: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV text; values on one line, empty rows left out.

    The delimiter is a comma, semicolon or tab. Raises `DocumentError` naming the line.
    """
    rows = list(_csv_rows(text))
    header = rows[0][1] if rows else []
    if len(rows) < 2:
        raise DocumentError("a header row and at least one row under it are needed")
    if not all(header) or len(set(header)) < len(header) or not any(map(_wordy, header)):
        raise DocumentError("line 1: the first row must name every column, each once")
    for line, row in rows[1:]:
        if len(row) > len(header):
            raise DocumentError(
                f"line {line}: {len(row)} values for {len(header)} columns; "
                'put a value that holds a comma into "quotes"'
            )
    return header, [row for _, row in rows[1:]]


def column(header: Sequence[str], names: frozenset[str]) -> int | None:
    """Which column bears one of the names."""
    return next((i for i, name in enumerate(header) if name.strip().lower() in names), None)


def load_json(text: str, *, line: int = 1) -> Any:
    """The value of a JSON text, numbers as they are written.

    Raises `DocumentError` naming the line for what is not JSON, repeats a key or is nested too deep.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"line {line + error.lineno - 1}: not valid JSON: {error.msg}"
        ) from error
    except RecursionError:
        raise DocumentError(f"nested deeper than {_DEEPEST} levels") from None
    _refuse_deep(value)
    return value


def load_jsonl(text: str) -> list[Any]:
    """The values of a text with one JSON value on each line."""
    return [
        load_json(line, line=number)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


# ---- questions and answers


def _add_faq(outline: Outline, entries: Any) -> None:
    if not isinstance(entries, list) or not entries:
        raise DocumentError(
            "no `faq` list: expected `faq:` with `- question: ...` and `answer: ...`"
        )
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DocumentError(f"faq entry {number}: expected `question:` and `answer:`")
        question, answer = (_text(entry, key, number) for key in ("question", "answer"))
        also = entry.get("also") or []
        also = [also] if isinstance(also, str) else also
        if not isinstance(also, list) or not all(isinstance(other, str) for other in also):
            raise DocumentError(f"faq entry {number}: `also` is a list of other wordings")
        rest = {k: v for k, v in entry.items() if k not in {"question", "answer", "also"}}
        outline.entry(question, answer, [a.strip() for a in also if a.strip()], kept(rest))


def _text(entry: Mapping[str, Any], key: str, number: int) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DocumentError(f"faq entry {number}: `{key}` must be text")
    return value.strip()


def _add_question_row(
    outline: Outline, header: Sequence[str], row: Sequence[str], asked: int, answered: int
) -> None:
    if not row[asked] or not row[answered]:
        return
    rest = {h: v for i, (h, v) in enumerate(zip(header, row, strict=False)) if v} | {}
    del rest[header[asked]], rest[header[answered]]
    outline.entry(row[asked], row[answered], [], rest)


# ---- CSV


def _csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line they end on."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            values = [" ".join(value.split()) for value in row]
            while values and not values[-1]:
                values.pop()
            if values:
                yield reader.line_num, values
    except csv.Error as error:
        raise DocumentError(f"line {reader.line_num}: not valid CSV: {error}") from error


def _wordy(value: str) -> bool:
    return any(character.isalpha() for character in value)


# ---- JSON


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise DocumentError(f"`{key[:40]}` is given twice in one object")
        value[key] = item
    return value


def _refuse_deep(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise DocumentError(f"nested deeper than {_DEEPEST} levels")


def _refuse_constant(word: str) -> Any:
    raise DocumentError(f"not valid JSON: {word} is no number")


def _read_value(value: Any, name: str) -> Content:
    metadata: dict[str, Any] = {}
    if isinstance(value, dict):
        # An object that holds nothing else is no document with metadata: {"title": ..., "date": ...}.
        if value.keys() - ABOUT:
            metadata = kept({key: value[key] for key in value if key in ABOUT})
            value = {key: value[key] for key in value if key not in ABOUT}
        metadata.setdefault("title", name)
    outline = Outline(title_of(metadata) or name)
    if isinstance(value, dict) and isinstance(value.get("faq"), list):
        _add_faq(outline, value.pop("faq"))
    _add(outline, value, 1)
    return _content(outline, metadata)


def _add(outline: Outline, value: Any, level: int) -> None:
    """Append a value under the open heading: as a sentence if it fits one, else by its parts."""
    if isinstance(value, dict):
        _add_object(outline, value, level)
    elif isinstance(value, list):
        _add_list(outline, value, level)
    else:
        outline.add("paragraph", [_scalar(value)])


def _add_object(outline: Outline, value: Mapping[str, Any], level: int) -> None:
    whole = (
        _flat(value)
        and sum(len(key) + len(text) for key, text in _pairs(value)) <= LONGEST_SENTENCE
    )
    short = value if whole else {k: v for k, v in value.items() if not _roomy(v)}
    pairs = list(_pairs(short))
    sentence = row_sentence([label for label, _ in pairs], [text for _, text in pairs])
    if len(sentence) <= LONGEST_SENTENCE + 4 * len(pairs):
        outline.add("record", [sentence])
    else:
        outline.add("list", [f"- {label}: {text}" for label, text in pairs if text])
    for key, item in value.items():
        if key not in short:
            outline.heading(level, key)
            _add(outline, item, level + 1)


def _add_list(outline: Outline, value: Sequence[Any], level: int) -> None:
    plain: list[str] = []
    for item in value:
        if not isinstance(item, (dict, list)):
            plain.append(f"- {_scalar(item)}" if _scalar(item) else "")
            continue
        outline.add("list", plain)
        plain = []
        if isinstance(item, dict) and _add_question(outline, item):
            continue
        outline.heading(level, _label(item) if isinstance(item, dict) else "")
        _add(outline, item, level + 1)
    outline.add("list", plain)


def _add_question(outline: Outline, item: Mapping[str, Any]) -> bool:
    keys = list(item)
    asked, answered = column(keys, QUESTIONS), column(keys, ANSWERS)
    if asked is None or answered is None:
        return False
    question, answer = item[keys[asked]], item[keys[answered]]
    if not isinstance(question, str) or not isinstance(answer, str):
        return False
    if question.strip() and answer.strip():
        rest = {k: v for i, (k, v) in enumerate(item.items()) if i not in {asked, answered}}
        outline.entry(question.strip(), answer.strip(), [], kept(rest))
    return True


def _pairs(value: Any, label: str = "") -> Iterator[tuple[str, str]]:
    """Labels with values: those of an inner object are called by both keys, `크기 가로`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _pairs(item, f"{label} {key}".strip())
    elif isinstance(value, list):
        yield label, ", ".join(filter(None, (_scalar(item) for item in value)))
    else:
        yield label, " ".join(_scalar(value).split())


def _flat(value: Any) -> bool:
    """Whether no list of objects or lists is in it: those are rows, each a passage of its own."""
    if isinstance(value, dict):
        return all(map(_flat, value.values()))
    return not isinstance(value, list) or not any(isinstance(v, (dict, list)) for v in value)


def _roomy(value: Any) -> bool:
    """Whether a value wants a heading of its own in an object too long for a sentence."""
    return isinstance(value, (dict, list)) or len(_scalar(value)) > LONGEST_SENTENCE // 4


def _label(item: Mapping[str, Any]) -> str:
    """What a row is called: its name, else its first words."""
    texts = {key: value for key, value in item.items() if isinstance(value, str) and _wordy(value)}
    named = [value for key, value in texts.items() if key.strip().lower() in _NAMES]
    label = next(iter([*named, *texts.values()]), "")
    return label if len(label) <= _LONGEST_LABEL and "\n" not in label else ""


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _content(outline: Outline, metadata: Mapping[str, Any]) -> Content:
    return Content(
        title=outline.title,
        metadata={**metadata, "title": outline.title},
        sections=outline.sections(),
    )
