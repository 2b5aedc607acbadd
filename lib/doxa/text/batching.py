"""Batches of texts of one length each."""

LENGTH_MULTIPLE = 8


def padded_length(n_tokens: int, max_length: int) -> int:
    """The length to which a text is padded, by itself alone: the next multiple of 8 that the model has positions for."""
    return max(n_tokens, min(-(-n_tokens // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, max_length))


def plan_batches(lengths: list[int], batch_tokens: int) -> list[list[int]]:
    """Return lists of positions, longest texts first, each of one length and of at most `batch_tokens` tokens.

    One length, because how long a text is padded shows in the last digits of its scores, and its neighbours should not:
    beside batches of mixed lengths this costs no time. A text longer than the budget makes a batch of its own. Ties
    keep the order of the input.
    """
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[position]
        if batches and lengths[batches[-1][0]] == length and (len(batches[-1]) + 1) * length <= batch_tokens:
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches
