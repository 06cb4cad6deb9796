"""Objects of the Prometheus operator against the types and validators made from its own Go sources.

The types refuse what the operator does not know; the validators, what does not fit a pattern or is not there.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import npmpackages
from npmpackages import TYPESCRIPT, VENV

INSTALLED = VENV / "operator-types"
PACKAGE = "@kubernetes-models/prometheus-operator"
VERSION = "6.0.0"
_VALIDATE = f"""
import {{readFileSync}} from 'node:fs';
import * as models from '{PACKAGE}/monitoring.coreos.com/v1';
JSON.parse(readFileSync(process.argv[2])).forEach((each, number) => {{
  try {{ new models[each.kind](each).validate(); }}
  catch (error) {{ console.log(`${{number}}: ${{error.message}}`); }}
}});
"""
_CONFIGURATION = {
    "files": ["objects.ts"],
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "types": [],
        "lib": ["es2020"],
        "module": "esnext",
        "moduleResolution": "bundler",
    },
}


def install(directory: Path = INSTALLED, environ: Mapping[str, str] | None = None) -> Path:
    """Install the pinned packages once and return where they are; RuntimeError if they cannot be had."""
    return npmpackages.installed(directory, [f"{PACKAGE}@{VERSION}", TYPESCRIPT], __file__, environ)


def faults(objects: Iterable[Mapping[str, Any]], work: Path, packages: Path) -> str:
    """Return what is wrong with objects, in lines that begin with their numbers; nothing if nothing is.

    Args:
        objects: ServiceMonitors and PrometheusRules.
        work: An empty directory for the programs.
        packages: Where the packages are installed.

    """
    known = list(objects)
    (work / "node_modules").symlink_to(packages / "node_modules")
    (work / "objects.json").write_text(json.dumps(known))
    (work / "validate.mjs").write_text(_VALIDATE)
    lines = [f"import type * as models from '{PACKAGE}/monitoring.coreos.com/v1';"]
    lines += [f"const o{n}: models.I{each['kind']} = {json.dumps(each)};" for n, each in enumerate(known)]
    (work / "objects.ts").write_text("\n".join(lines))
    (work / "tsconfig.json").write_text(json.dumps(_CONFIGURATION))
    typed = re.sub(
        r"^objects\.ts\((\d+),\d+\): error \w+",
        lambda found: str(int(found[1]) - 2),
        npmpackages.tsc(packages, work)[1],
        flags=re.MULTILINE,
    )
    return typed + npmpackages.node(work / "validate.mjs", work / "objects.json", cwd=work)[1]


if __name__ == "__main__":
    install()
