"""What a person at the command line can mend: one line each, exit status 2."""


class TrainingError(Exception):
    """A file, table or option that does not fit; the message says which, what was wanted and what was got."""
