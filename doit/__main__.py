"""`python -m doit`."""

if __name__ == "__main__":  # processes that are started to read load this file again, and need no command line
    from doit.cli import main

    main()
