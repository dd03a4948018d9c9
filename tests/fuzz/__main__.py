"""`python -m tests.fuzz [READER ...] --seconds N`: look for inputs that break a promise, guided by coverage (atheris).

Needs the extra `fuzz`. Each reader runs in a process of its own, from a corpus of sound inputs that is made by code;
what breaks a promise is kept beside, and its reader named. Exits 1 then.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT = 20  # seconds after which one input counts as a hang


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the readers one after the other, and print a line of figures for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("reader", nargs="*", help="readers of tests/fuzz/readers.py (default: all)")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each reader (default: 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the mutations (default: 1)")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz"), metavar="DIR", help="for inputs that break a promise"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        return _fuzz(options.one, options)
    from tests.fuzz.readers import READERS

    print("reader        inputs  refused  slowest s  memory MB  broken", flush=True)
    broken = [name for name in options.reader or READERS if not _run(name, options)]
    return 1 if broken else 0


def _run(name: str, options: argparse.Namespace) -> bool:
    """Fuzz a reader in a process of its own, print what came of it, and say whether every promise held."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        own = {"XDG_CACHE_HOME": f"{folder}/cache", "HF_HOME": f"{folder}/hf", "HF_HUB_OFFLINE": "1"}
        words = ["--one", name, "--seconds", str(options.seconds), "--seed", str(options.seed)]
        options.keep.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz", *words, "--keep", str(options.keep.resolve())]
        figures = Path(folder, "figures")
        environment = {**os.environ, **own, "FUZZ_FIGURES": str(figures), "FUZZ_CORPUS": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        found = json.loads(figures.read_text()) if figures.exists() else {}
    line = [f"{found.get(key, 0):,}" for key in ("inputs", "refused", "slowest", "memory")]
    verdict = "none" if done.returncode == 0 else f"see {options.keep}/"
    print(f"{name:10} {line[0]:>9} {line[1]:>8} {line[2]:>10} {line[3]:>10}  {verdict}", flush=True)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-1000:], flush=True)
    return done.returncode == 0


def _fuzz(name: str, options: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=["loaders", "publish"]):
        from tests.fuzz.readers import READERS, attempt, right

    reader = READERS[name]
    corpus, figures = Path(os.environ["FUZZ_CORPUS"], "corpus"), Path(os.environ["FUZZ_FIGURES"])
    corpus.mkdir()
    for number, seed in enumerate(reader.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    right(reader)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"inputs": 0, "refused": 0, "slowest": 0.0, "memory": 0}

    def one_input(data: bytes) -> None:
        trial = attempt(reader, data)
        found["inputs"] += 1
        found["refused"] += trial.refused
        found["slowest"] = max(found["slowest"], round(trial.seconds, 3))
        if found["inputs"] % 100 == 0:
            found["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1000
            figures.write_text(json.dumps(found))

    limits = [f"-max_total_time={options.seconds}", f"-timeout={_TIMEOUT}", "-rss_limit_mb=2048"]
    which = [f"-seed={options.seed}", f"-max_len={reader.longest}", f"-artifact_prefix={options.keep}/{name}-"]
    atheris.Setup([sys.argv[0], *limits, *which, str(corpus)], one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
