"""The one exception that users are meant to read."""


class G3ANError(Exception):
    """A mistake in the input or the environment, told in one sentence: what is wrong, where, and what to do."""
