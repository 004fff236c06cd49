"""The notebook is made again, outputs and all: `python -m tests.tour`.

Its cells are edited in `outputs/tour.ipynb` itself. What is written is the same again but for the
times that cells tell.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

NOTEBOOK = Path(__file__).parent.parent / "outputs" / "tour.ipynb"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Without the version of Python, which is of the machine."""


def execute(path: Path) -> None:
    """Run the cells of a notebook in a kernel of their own, and write what they show into it.

    The kernel listens at no port, but in a folder of this user's alone; it has neither the user's
    settings nor history, and has ended when this returns. Raises nbclient's `CellExecutionError`
    where a cell fails; the file then stays as it was.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120, record_timing=False)
    with TemporaryDirectory() as folder:
        manager = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", f"{folder}/kernel"
        manager.connection_file = f"{folder}/kernel.json"
        client.execute(cwd=folder, env={**os.environ, "IPYTHONDIR": folder})
    notebook.metadata = METADATA
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    execute(Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK)
