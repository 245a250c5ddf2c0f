"""`.github/ADDING_A_CHANNEL.md` followed literally: its files written, its lines added."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / ".github" / "ADDING_A_CHANNEL.md"


def blocks(kind: str) -> Iterator[str]:
    """The guide's code blocks of one kind."""
    for match in re.finditer(
        rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL
    ):
        yield match[1]


def adapter() -> str:
    """The file that the guide writes."""
    [code] = blocks("python")
    return code


@cache
def line() -> Any:
    """That file as a module."""
    module = ModuleType("adapters.line")
    sys.modules[module.__name__] = module
    exec(compile(adapter(), "adapters/line.py", "exec"), module.__dict__)
    return module


def follow(project: Path) -> int:
    """Do in `project` what the guide says; how many lines of code that adds."""
    (project / "adapters" / "line.py").write_text(adapter())
    added = adapter()
    for block in blocks("diff"):
        name, *lines = block.splitlines()
        path = project / name.removeprefix("# ")
        before = "".join(f"{each[1:]}\n" for each in lines if not each.startswith("+"))
        after = "".join(f"{each[1:]}\n" for each in lines)
        code = path.read_text()
        assert code.count(before) == 1, f"{name}: not there, or not once:\n{before}"
        path.write_text(code.replace(before, after))
        added += "".join(f"{each[1:]}\n" for each in lines if each.startswith("+"))
    return sum(bool(each.strip()) for each in added.splitlines())
