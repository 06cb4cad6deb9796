"""Why a value of a setting is refused, in words for a person."""


class Refused(ValueError):
    """A value that cannot stand, with the remedy.

    `shown` is whether the value may be repeated in a message, `item` which one of a list it is, and
    `quote` whether the remedy ends in the value as it should have been written.
    """

    def __init__(
        self, remedy: str, *, shown: bool = True, item: int | None = None, quote: bool = False
    ) -> None:
        self.shown = shown
        self.item = item
        self.quote = quote
        super().__init__(remedy)
