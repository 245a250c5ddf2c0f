"""The strict configuration: `sangdam.yaml`, every key of which has a default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from brain.errors import ConfigError
from brain.strict import Document

DEFAULT_FILE = "sangdam.yaml"


class Section(BaseModel):
    """A part of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Company(Section):
    """The company; its facts are in `company.yaml` of the knowledge folder."""

    timezone: str = Field(
        "Asia/Seoul", description="IANA name; opening hours and times of day follow it"
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone; write an IANA name such as Asia/Seoul") from None
        return name


class Knowledge(Section):
    """The documents that answers come from."""

    folder: Path | None = Field(
        None, description="your documents; absent: the packaged sample company"
    )
    embedder: str = Field(
        "bundled", description="bundled, sentence-transformers:<model folder> or ollama:<model>"
    )
    morphemes: bool = Field(
        False,
        description="Kiwi morphemes in lexical search: better on long texts, 0.3-0.5 GB more memory",
    )
    watch: bool = Field(False, description="reload by itself when a document has changed")
    rerank: str = Field(
        "off",
        description="what ranks passages again: off, model (in doubt), cross-encoder:<model folder>",
    )
    queries: int = Field(
        1,
        ge=1,
        le=4,
        description="wordings of a doubtful question to search; the model adds to one",
    )
    follow_ups: Literal["rules", "model"] = Field(
        "rules", description="what tells what a question leans on; model: in doubt it is asked too"
    )
    deadline: float = Field(
        3.0, gt=0, le=60, description="seconds for those three; then the first search stands"
    )

    @field_validator("rerank", mode="before")
    @classmethod
    def _ranker(cls, name: object) -> object:
        if name is False:  # what YAML takes `off` for
            return "off"
        if name not in ("off", "model") and not re.fullmatch(r"cross-encoder:.+", str(name)):
            raise ValueError("write off, model or cross-encoder:<model folder>")
        return name

    @property
    def asks_model(self) -> bool:
        """Whether the model is asked beside the answer."""
        return self.rerank == "model" or self.queries > 1 or self.follow_ups == "model"


class PromptFiles(Section):
    """The layered prompts."""

    folder: Path | None = Field(None, description="your prompts; absent: the packaged ones")
    persona: str = Field(
        "base", description="a file of the folder's personas: base, shopping, technical"
    )


class ModelTimeouts(Section):
    """How long to wait for the model, in seconds."""

    connect: float = Field(2.0, gt=0, description="until the server takes the connection")
    first_token: float = Field(
        60.0, gt=0, description="until the first word, loading the model included"
    )
    silence: float = Field(15.0, gt=0, description="between two words")
    total: float = Field(120.0, gt=0, description="for the whole answer")


class ModelServer(Section):
    """The model that writes the answers. Without one, answers are quoted from the documents."""

    host: str = Field("http://127.0.0.1:11434", description="the Ollama server")
    name: str = Field("auto", description="a model of that server; auto: the best installed one")
    fallback: str = Field("", description="a second model, tried once when the first fails")
    num_ctx: int = Field(8192, ge=2048, le=131072, description="context window, tokens")
    num_predict: int = Field(768, ge=64, le=8192, description="longest answer, tokens")
    parallel: int = Field(
        2, ge=1, le=256, description="answers generated at a time; Ollama's OLLAMA_NUM_PARALLEL"
    )
    queue: int = Field(
        20,
        ge=0,
        le=10000,
        description="answers that may wait; further customers hear that it is busy",
    )
    temperature: float = Field(0.3, ge=0, le=2, description="0: always the likeliest word")
    timeouts: ModelTimeouts = Field(ModelTimeouts(), description="seconds to wait")


class Web(Section):
    """The one HTTP server: web chat, widget, health."""

    host: str = Field(
        "127.0.0.1", description="address to listen on; the default is this machine only"
    )
    port: int = Field(8080, ge=0, le=65535, description="0: any free port")
    allowed_origins: tuple[str, ...] = Field(
        (), description="sites that may embed the widget, such as https://www.example.com"
    )


class TurnTaking(Section):
    """How long to wait for the rest of what somebody is writing, in seconds."""

    fragment: float = Field(
        1.5, ge=0, le=30, description="after a message that reads as unfinished"
    )
    most: float = Field(6.0, ge=0, le=60, description="in all, from the first piece on")
    follow_on: float = Field(
        1.0, ge=0, le=10, description="before a quoted answer, if the customer may go on"
    )
    policy: Literal["interrupt", "collect", "queue"] = Field(
        "interrupt",
        description="for words that arrive during an answer: begin anew with them, answer them next, or each alone",
    )
    answer_within: float = Field(
        60.0, gt=0, description="minutes; what a stop left unanswered for longer is apologised for"
    )
    drain: float = Field(15.0, ge=0, le=300, description="seconds to finish answers when stopping")


class Storage(Section):
    """The database under `data`."""

    synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="NORMAL survives a killed process; FULL also a power cut, at a cost per message",
    )
    keep_days: int = Field(365, ge=3, description="days after which conversations are deleted")


class Limits(Section):
    """What one customer may send."""

    longest_message: int = Field(4000, ge=100, le=20000, description="characters in one message")
    customer_rate: str = Field(
        "20/minute", description='messages of one customer, such as 20/minute; "" for no limit'
    )
    global_rate: str = Field("", description='messages of everybody; "" for no limit')
    daily_quota: int = Field(300, ge=0, description="messages of one customer a day; 0: no limit")

    @field_validator("customer_rate", "global_rate")
    @classmethod
    def _readable(cls, rate: str) -> str:
        if rate and not re.fullmatch(r"[1-9]\d*/(?:[1-9]\d* ?)?(?:second|minute|hour|day)s?", rate):
            raise ValueError("write a number and a span, such as 20/minute or 5/10seconds")
        return rate


class TelegramChannel(Section):
    """Telegram; off without a token."""

    token: str = Field("", description="of @BotFather, from the environment: ${TELEGRAM_TOKEN}")
    base_url: str = Field("https://api.telegram.org", description="the Bot API server")
    webhook_url: str = Field("", description="public https address; empty: long polling")
    webhook_secret: str = Field("", description="what Telegram sends along, 1-256 of A-Za-z0-9_-")


class DiscordChannel(Section):
    """Discord; off without a token."""

    token: str = Field("", description="of the bot, from the environment: ${DISCORD_TOKEN}")
    api_base: str = Field("https://discord.com/api/v10", description="the REST server")
    gateway: str = Field("", description="gateway address; empty: as the REST server says")
    mentions_only: bool = Field(False, description="true: needs no message content intent")
    threads: bool = Field(False, description="open a thread for each question in a channel")


class KakaoChannel(Section):
    """KakaoTalk skill server at POST /channels/kakao; off without a secret."""

    secret: str = Field("", description="value of the header X-Sangdam-Secret: ${KAKAO_SECRET}")
    bot_ids: tuple[str, ...] = Field(
        (), description="bots that may call; empty: any with the secret"
    )
    callback_hosts: tuple[str, ...] = Field(
        ("bot-api.kakao.com",), description="hosts to which late answers may be posted"
    )


class HttpChannel(Section):
    """Signed requests at POST /channels/http; off without a secret."""

    secret: str = Field("", description="key of the HMAC, from the environment: ${HTTP_SECRET}")
    callback_hosts: tuple[str, ...] = Field(
        (), description="hosts to which late answers may be posted; empty: no callbacks"
    )


class Channels(Section):
    """Where customers write, beside the web chat."""

    telegram: TelegramChannel = TelegramChannel()
    discord: DiscordChannel = DiscordChannel()
    kakao: KakaoChannel = KakaoChannel()
    http: HttpChannel = HttpChannel()


class Config(Section):
    """Everything that can be set."""

    data: Path = Field(Path("data"), description="folder for everything that Sangdam writes")
    language: Literal["ko", "en"] = Field("ko", description="language of the first words")
    admins: tuple[str, ...] = Field(
        (), description="who may use admin commands: channel:user_id, such as telegram:123456789"
    )
    company: Company = Company()
    knowledge: Knowledge = Knowledge()
    prompts: PromptFiles = PromptFiles()
    model: ModelServer = ModelServer()
    web: Web = Web()
    store: Storage = Storage()
    limits: Limits = Limits()
    turns: TurnTaking = TurnTaking()
    channels: Channels = Channels()

    @field_validator("admins")
    @classmethod
    def _named(cls, admins: tuple[str, ...]) -> tuple[str, ...]:
        for admin in admins:
            channel, _, user = admin.partition(":")
            if not channel or not user:
                raise ValueError("write channel:user_id, such as telegram:123456789")
        return admins

    @property
    def knowledge_folder(self) -> Path:
        """The documents: the configured folder, else the packaged sample."""
        return self.knowledge.folder or packaged("kb")

    @property
    def prompts_folder(self) -> Path:
        """The prompts: the configured folder, else the packaged ones."""
        return self.prompts.folder or packaged("prompts")


def packaged(name: str) -> Path:
    """A data folder that ships with Sangdam: inside the wheel, else beside `bot/` in a checkout."""
    here = Path(__file__).parent
    shipped = here / "_data" / name
    return shipped if shipped.is_dir() else here.parent / name


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration from `path`; without one from `sangdam.yaml` here, if there is one.

    Relative paths are relative to the file. `${NAME}` inside a value is taken from the environment.
    Raises ConfigError for anything unknown, wrong or missing.
    """
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.is_file():
            return Config()
    document = Document(path, error=ConfigError)
    variables = os.environ if environ is None else environ
    document.map_strings(lambda text: _substitute(text, variables))
    return _anchored(document.parse(Config), path.parent)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _substitute(text: str, environ: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise LookupError(f"the environment variable {name} is not set")
        return environ[name]

    return _VARIABLE.sub(value, text)


def _anchored(config: Config, base: Path) -> Config:
    """The same configuration with its paths made relative to `base`, the file's folder."""

    def anchor(path: Path) -> Path:
        return base / path.expanduser()

    changes: dict[str, Any] = {"data": anchor(config.data)}
    if config.knowledge.folder:
        folder = anchor(config.knowledge.folder)
        changes["knowledge"] = config.knowledge.model_copy(update={"folder": folder})
    if config.prompts.folder:
        folder = anchor(config.prompts.folder)
        changes["prompts"] = config.prompts.model_copy(update={"folder": folder})
    return config.model_copy(update=changes)


def example(overrides: Mapping[str, str] | None = None) -> str:
    """A commented `sangdam.yaml` with every key at its default, or at `overrides` by dotted name."""
    lines = [
        "# Sangdam's configuration. Every key is optional; these are the defaults.",
        "# Relative paths are relative to this file. Secrets come from the environment: ${NAME}.",
    ]
    lines += _describe(Config(), "", overrides or {})
    return "\n".join(lines) + "\n"


def _describe(section: Section, prefix: str, overrides: Mapping[str, str]) -> list[str]:
    indent = "  " * prefix.count(".")
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            lines += [
                "",
                f"{indent}# {(type(value).__doc__ or '').rstrip('.')}",
                f"{indent}{name}:",
            ]
            lines += _describe(value, f"{prefix}{name}.", overrides)
            continue
        given = overrides.get(f"{prefix}{name}")
        shown = given if given is not None else _scalar(value)
        comment = "#" if value is None and given is None else ""
        lines.append(f"{indent}{comment}{name}: {shown}  # {field.description}".rstrip())
    return lines


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return '""' if value == "" else str(value)
