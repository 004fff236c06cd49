"""Run the program in another process: `python -m tests.cluster STORE LOG ADDRESS`."""

import json
import sys

from tests.cluster.program import run

if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:])))
