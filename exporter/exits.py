"""The exit codes of the program, beside 0: all went well.

Ctrl-C is 130; a second signal, which ends at once what is being ended, is 128 and its number.
"""

TARGET_FAILED = 1
"""A target failed (`scrape`, `check --live`), or the output could not be written."""
BAD_CONFIGURATION = 2
"""The configuration or the command line is wrong."""
CANNOT_START = 3
"""The server could not start."""
