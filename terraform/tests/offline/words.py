"""What terraform itself does not ask for: words.py FOLDER

Every variable, local and data source is used, every variable and output is described, and README.md lists those of the
root module with their descriptions.
"""

import pathlib
import re
import sys

DECLARED = re.compile(r'^(variable|output|data) "(\w+)"(?: "(\w+)")? \{\n(.*?)^\}', re.M | re.S)
LOCALS = re.compile(r"^locals \{\n(.*?)^\}", re.M | re.S)


def faults_of_module(folder):
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    for kind, name, second, body in DECLARED.findall(text):
        if kind in ("variable", "output") and not re.search(r'^  description = ".+\."$', body, re.M):
            yield f"{kind} {name} has no description that is a sentence"
        # A variable's own validation is no use of it.
        elsewhere = text.replace(body, "")
        if kind == "variable" and not re.search(rf"\bvar\.{name}\b", elsewhere):
            yield f"variable {name} is not used"
        if kind == "data" and f"data.{name}.{second}" not in elsewhere:
            yield f"data {name}.{second} is not used"
    for body in LOCALS.findall(text):
        for name in re.findall(r"^  (\w+) +=", body, re.M):
            if not re.search(rf"\blocal\.{name}\b", text):
                yield f"local {name} is not used"


def rows(folder, kind):
    """The lines of README.md's table of a module's variables or outputs."""
    for path in sorted(folder.glob("*.tf")):
        for declared, name, _, body in DECLARED.findall(path.read_text()):
            if declared != kind:
                continue
            described = re.search(r'^  description = "(.+)"$', body, re.M)
            needed = ", required" if kind == "variable" and not re.search(r"^  default ", body, re.M) else ""
            yield f"| `{name}`{needed} | {described.group(1) if described else ''} |"


def main(folder):
    folder = pathlib.Path(folder)
    faults = []
    for module in sorted({path.parent for path in folder.rglob("*.tf")}):
        faults += [f"{module}: {fault}" for fault in faults_of_module(module)]
    readme = (folder / "README.md").read_text()
    for row in [*rows(folder, "variable"), *rows(folder, "output")]:
        if row not in readme:
            faults.append(f"{folder}/README.md has no line: {row}")
    print("\n".join(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
