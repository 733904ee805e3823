"""Writes the boot scripts of the grids in terraform states to files: boot.py FOLDER STATE.."""

import json
import pathlib
import sys


def main(folder, paths):
    folder = pathlib.Path(folder)
    folder.mkdir()
    for path in map(pathlib.Path, paths):
        grid = json.loads(path.read_text())["outputs"]["grid"]["value"]
        for who, script in grid["user_data"].items():
            (folder / f"{path.stem}-{who}.sh").write_text(script)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
