"""Byte code for a tree, made by the interpreter that will run it: `python compile_tree.py TREE KEEP...`.

One process and a sorted walk, so that the same sources give the same bytes. Packages named in KEEP stay readable
(tracebacks show their lines); of everything else only the byte code stays, where the source was.
"""

import py_compile
import sys
from pathlib import Path


def main(tree: Path, keep: set[str]) -> None:
    """Compile every source below `tree`."""
    for source in sorted(tree.rglob("*.py")):
        below = source.relative_to(tree)
        kept = "site-packages" in below.parts and below.parts[below.parts.index("site-packages") + 1] in keep
        try:
            py_compile.compile(
                str(source),
                cfile=None if kept else str(source) + "c",
                dfile=f"<kage>/{below}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError as error:  # examples of broken code, in some standard libraries
            print(f"not compiled: {below}: {error.exc_type_name}", file=sys.stderr)
        if not kept:
            source.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
