"""Makes the packages of PyPI importable that scripts/test.sh puts into build/python, or ends the test as skipped. The
interpreter of build/python_newest (newest.py) has its own."""
import site
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build"
MISSING = BUILD / "python.missing"
SKIPPED = 77

if Path(sys.prefix).resolve() != BUILD / "python_newest":
    if MISSING.exists():
        print(f"skipped: {MISSING.read_text().strip()}")
        sys.exit(SKIPPED)
    for folder in (BUILD / "python").glob("lib/python*/site-packages"):
        site.addsitedir(str(folder))


def not_there(error):
    sys.exit(f"{error}; scripts/test.sh makes build/python, where it belongs")
