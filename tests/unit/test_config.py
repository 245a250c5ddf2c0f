"""The configuration is strict and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import config
from brain.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("web:\n  hots: x\n", ":2: unknown key 'web.hots'; did you mean 'host'?"),
        ("modle: {}\n", ":1: unknown key 'modle'; did you mean 'model'?"),
        ("model:\n  timeouts:\n    conect: 1\n", ":3: unknown key 'model.timeouts.conect'"),
        ("knowledge: {rerank: bge}\n", "write off, model or cross-encoder:<model folder>"),
        ("knowledge:\n  queries: 5\n", ":2: knowledge.queries: input should be less than"),
        ("data: x\nweb:\n  port: 99999\n", ":3: web.port: input should be less than"),
        ("web:\n  port: 1\n  port: 2\n", ":3: the key 'port' stands twice"),
        ("admins: [nobody]\n", "write channel:user_id"),
        ("company: {timezone: Seoul}\n", "no such time zone"),
        ("a: &x 1\nb: *x\n", ":1: YAML anchors and aliases are not allowed"),
        ("data: ${NOT_SET}\n", ":1: the environment variable NOT_SET is not set"),
        ("web: [\n", "expected node content"),
        ("- 1\n", ":1: expected `key: value` lines"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper than 30 levels"),
    ],
)
def test_a_mistake_is_one_line_naming_file_and_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "sangdam.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file, environ={})
    assert str(caught.value).startswith(str(file))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "absent.yaml")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = config.load()
    assert found == config.Config()
    assert (found.knowledge_folder / "company.yaml").is_file()
    assert (found.prompts_folder / "layers").is_dir()


@pytest.mark.parametrize("name", ["off", "model", "'cross-encoder:BAAI/bge-reranker-v2-m3'"])
def test_a_ranker_is_read_as_written(tmp_path: Path, name: str) -> None:
    file = tmp_path / "sangdam.yaml"
    file.write_text(f"knowledge: {{rerank: {name}}}\n")
    found = config.load(file, environ={}).knowledge
    assert found.rerank == name.strip("'")
    assert found.asks_model == (name == "model")


def test_paths_are_relative_to_the_file_and_variables_come_from_the_environment(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sangdam.yaml"
    file.write_text("data: ./d\nknowledge: {folder: '${DOCS}'}\nadmins: ['telegram:1']\n")
    found = config.load(file, environ={"DOCS": "documents"})
    assert found.data == tmp_path / "d"
    assert found.knowledge_folder == tmp_path / "documents"
    assert found.admins == ("telegram:1",)


def test_the_example_holds_every_key_at_its_default(tmp_path: Path) -> None:
    file = tmp_path / "sangdam.yaml"
    file.write_text(config.example(), encoding="utf-8")
    assert config.load(file, environ={}) == config.Config(data=tmp_path / "data")

    def keys(section: config.Section) -> set[str]:
        found = set()
        for name in type(section).model_fields:
            found.add(name)
            value = getattr(section, name)
            if isinstance(value, config.Section):
                found |= keys(value)
        return found

    text = config.example()
    assert [key for key in keys(config.Config()) if f"{key}:" not in text] == []
