"""Batches of texts of like length, so that little is padded."""


def plan_batches(lengths: list[int], batch_tokens: int) -> list[list[int]]:
    """Return lists of positions, longest texts first, each of at most `batch_tokens` tokens with padding.

    A text longer than the budget makes a batch of its own. Ties keep the order of the input.
    """
    batches: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and (len(batches[-1]) + 1) * longest <= batch_tokens:
            batches[-1].append(position)
        else:
            batches.append([position])
            longest = max(1, lengths[position])
    return batches
