"""`parsec` and `python -m parsec`: the command line, whose start can be interrupted or fail like its work."""

import sys


def main() -> int:
    """Load the command line and run it; see `parsec.cli.main`."""
    try:
        from parsec.cli import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except ImportError as error:
        if (error.name or "").startswith("parsec"):
            raise
        print(f"error: a package is missing or half installed ({error}); install parsec again", file=sys.stderr)
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
