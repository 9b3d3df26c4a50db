"""``python -m finemed``."""

from finemed.cli.main import main

if __name__ == "__main__":
    main()
