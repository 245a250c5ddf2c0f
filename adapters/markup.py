"""Our Markdown subset, parsed once into a tree and written in each channel's own way."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.emphasis import tokenize
from markdown_it.tree import SyntaxTreeNode

_WEB: Final = ("http://", "https://")
_SPOKEN: Final = ("mailto:", "tel:")
_URL: Final = re.compile(r"https?://[^\s<>\[\]()*`|\\]+")
_CJK: Final = re.compile("[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff]")
_RULE: Final = "―――"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How one channel writes each thing; every function takes what is inside, written already."""

    words: Callable[[str], str]
    """Plain words, from the source."""
    strong: Callable[[str], str]
    slanted: Callable[[str], str]
    code: Callable[[str], str]
    """Code within a line, from the source."""
    fence: Callable[[str, str], str]
    """Lines of code and their language, from the source."""
    quote: Callable[[str], str]
    address: Callable[[str], str]
    """A web address that can be opened, from the source."""


def plain(text: str) -> str:
    """`text`, in our Markdown subset, without any markup: what can be read anywhere."""
    return _written(text, _PLAIN)


def telegram_html(text: str) -> str:
    """`text`, in our Markdown subset, as the HTML that Telegram takes; always well-formed."""
    return _written(text, _TELEGRAM)


def discord_markdown(text: str) -> str:
    """`text`, in our Markdown subset, as Discord's: it mentions nobody, and no link hides its address."""
    return _written(text, _DISCORD)


def literal(text: str) -> str:
    """`text` as one line of our Markdown that shows exactly it."""
    line = re.sub(r"([\\`*_\[\]<>#!~])", r"\\\1", " ".join(text.split()))
    # Marks that make a list at the beginning of a line.
    return re.sub(r"^(\d{0,9})([-+.)])", r"\1\\\2", line)


def _written(text: str, look: _Look) -> str:
    # JSON can spell half a surrogate pair, which nothing can send.
    source = text.encode("utf-8", "replace").decode()
    try:
        return _blocks(SyntaxTreeNode(_parser().parse(source)), look, "\n\n")
    except RecursionError:  # marks within marks without end: nobody meant them
        return look.words(source)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # Beyond its usual nesting the parser drops words; we would rather have it fail.
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 10_000})
    # What models do not mean: indented text is no code, a line of dashes under words no heading, an
    # entity no character; a link definition would vanish.
    parser.disable(["code", "lheading", "entity", "reference"])
    parser.inline.ruler.at("emphasis", _emphasis)
    # Addresses are judged when written, and shown as they were given.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    parser.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return parser


def _emphasis(state: StateInline, silent: bool) -> bool:
    """The standard's rule, for a language that writes `**"환불"**은` and `10*20*30cm`."""
    start, known = state.pos, len(state.delimiters)
    if not tokenize(state, silent):
        return False
    before = state.src[start - 1] if start else " "
    after = state.src[state.pos] if state.pos < state.posMax else " "
    for delimiter in state.delimiters[known:]:
        if state.src[start] != "*":
            continue
        # Particles follow a closing mark without a space, which the standard forbids after punctuation.
        if _CJK.match(before) and not after.isspace():
            delimiter.open = True
        if _CJK.match(after) and not before.isspace():
            delimiter.close = True
        if delimiter.length == 1 and before.isalnum():
            delimiter.open = False
            delimiter.close = delimiter.close and not (before.isdigit() and after.isdigit())
    return True


def _blocks(node: SyntaxTreeNode, look: _Look, gap: str) -> str:
    written = (_block(child, look) for child in node.children)
    return gap.join(each for each in written if each)


def _block(node: SyntaxTreeNode, look: _Look) -> str:
    match node.type:
        case "paragraph":
            return _inlines(node, look).strip()
        case "heading":
            words = _inlines(node, look).strip()
            return look.strong(words) if words else ""
        case "fence":
            return look.fence(node.content.removesuffix("\n"), node.info.strip())
        case "blockquote":
            return look.quote(_blocks(node, look, "\n"))
        case "bullet_list" | "ordered_list":
            return _list(node, look)
        case "hr":
            return _RULE
    return look.words(node.content)  # nothing that our parser makes; never lose words


def _list(node: SyntaxTreeNode, look: _Look) -> str:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    lines = []
    for item in node.children:
        mark = "• " if number is None else f"{number}. "
        lines.append(mark + "\n".join(filter(None, _indented(item, look))).lstrip(" "))
        number = None if number is None else number + 1
    return "\n".join(lines)


def _indented(item: SyntaxTreeNode, look: _Look) -> Iterator[str]:
    for child in item.children:
        written = _block(child, look)
        # Code keeps its own margin.
        yield (
            written
            if child.type == "fence"
            else re.sub("^(?=.)", "  ", written, flags=re.MULTILINE)
        )


def _inlines(node: SyntaxTreeNode, look: _Look) -> str:
    return "".join(_inline(child, look) for child in node.children)


def _inline(node: SyntaxTreeNode, look: _Look) -> str:
    match node.type:
        case "inline":
            return _inlines(node, look)
        case "strong":
            inside = _inlines(node, look)
            return look.strong(inside) if inside else ""
        case "em":
            inside = _inlines(node, look)
            return look.slanted(inside) if inside else ""
        case "code_inline":
            return look.code(node.content)
        case "softbreak" | "hardbreak":
            return "\n"
        case "link":
            return _link(node, look)
        case "image":
            return look.words(_alt(node))
    return look.words(node.content)


def _link(node: SyntaxTreeNode, look: _Look) -> str:
    address, label = str(node.attrs.get("href", "")), _alt(node).strip()
    words = _inlines(node, look)
    if address.lower().startswith(_WEB) and not re.search(r"[\s\"<>]", address):
        shown = look.address(address)
        return shown if label in ("", address) else f"{words} ({shown})"
    scheme, _, rest = address.partition(":")
    if f"{scheme.lower()}:" in _SPOKEN and rest and rest != label and address != label:
        return f"{words} ({look.words(rest)})"
    return words


def _alt(node: SyntaxTreeNode) -> str:
    """The bare words of an image or a link."""
    return "".join(child.content if not child.children else _alt(child) for child in node.children)


def _as_given(text: str) -> str:
    return text


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


_PLAIN: Final = _Look(
    words=_as_given,
    strong=_as_given,
    slanted=_as_given,
    code=_as_given,
    fence=lambda code, language: code,
    quote=_quoted,
    address=_as_given,
)


def _telegram_fence(code: str, language: str) -> str:
    name = re.match(r"[\w+#.-]{1,32}", language)
    inside = html.escape(code, quote=False)
    if name is None:
        return f"<pre>{inside}</pre>"
    return f'<pre><code class="language-{name.group()}">{inside}</code></pre>'


def _telegram_quote(text: str) -> str:
    # Telegram refuses a quotation within another.
    return f"<blockquote>{re.sub('</?blockquote>', '', text)}</blockquote>"


def _telegram_address(address: str) -> str:
    return f'<a href="{html.escape(address)}">{html.escape(address, quote=False)}</a>'


_TELEGRAM: Final = _Look(
    words=lambda text: html.escape(text, quote=False),
    strong=lambda text: f"<b>{text}</b>",
    slanted=lambda text: f"<i>{text}</i>",
    code=lambda text: f"<code>{html.escape(text, quote=False)}</code>",
    fence=_telegram_fence,
    quote=_telegram_quote,
    address=_telegram_address,
)


def _discord_words(text: str) -> str:
    """Words in which nothing means anything to Discord; addresses keep their underscores."""
    parts, done = [], 0
    for url in _URL.finditer(text):
        parts += [_discord_escaped(text[done : url.start()]), _discord_address(url.group())]
        done = url.end()
    return "".join([*parts, _discord_escaped(text[done:])])


def _discord_address(address: str) -> str:
    address = re.sub("@(?=everyone|here)", "%40", address)
    return re.sub(r"[\\*`|]", lambda mark: f"%{ord(mark.group()):02X}", address)


def _discord_escaped(text: str) -> str:
    text = re.sub(r"([\\*_`<]|~(?=~)|\|(?=\|)|\](?=\())", r"\\\1", text)
    text = re.sub(r"^([ \t]*)([#>+-])", r"\1\\\2", text)
    return re.sub(r"@(?=everyone|here)", "@\u200b", text)


def _discord_code(text: str) -> str:
    # A backtick inside would end it early, and whatever follows would be markup again.
    if "``" in text:
        return f"`{text.replace('`', 'ˋ')}`"
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _discord_fence(code: str, language: str) -> str:
    name = re.match(r"[\w+#.-]{1,32}", language)
    inside = re.sub("``(?=`)", "``\u200b", code)
    return f"```{name.group() if name else ''}\n{inside}\n```"


_DISCORD: Final = _Look(
    words=_discord_words,
    strong=lambda text: f"**{text}**",
    slanted=lambda text: f"*{text}*",
    code=_discord_code,
    fence=_discord_fence,
    quote=_quoted,
    address=_discord_address,
)
