"""What is kept of a score for every token of the vocabulary, once a batch is computed: of N texts there would be N x V numbers."""

import numpy as np

from doxa.model.kinds.mask import CANDIDATES, GUESS_SIZE
from doxa.text.frame import Window


def hidden_tokens(windows: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Of windows that hide one token each: the token (B,), and whether it is a mask in the text itself, so that what it stands for is asked (B,)."""
    tokens = np.array([window.ids[window.hidden.positions[0]] for window in windows], dtype=np.int64)
    return tokens, tokens == windows[0].hidden.mask_id


def read_guesses(logits: np.ndarray, windows: list[Window]) -> np.ndarray:
    """Rows (B, GUESS_SIZE) from scores (B, V) of all tokens in place of each window's hidden one: its log probability; where the text itself holds a
    mask there, the log probabilities of the likeliest CANDIDATES, best first, and then their ids (exact in fp32 up to 2^24), else zeros."""
    tokens, is_blank = hidden_tokens(windows)
    highest = logits.max(axis=1, keepdims=True)
    norm = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    found = np.zeros((len(windows), GUESS_SIZE), dtype=np.float32)
    found[:, 0] = logits[np.arange(len(windows)), tokens] - norm
    for row in np.flatnonzero(is_blank):
        best = np.argpartition(logits[row], -CANDIDATES)[-CANDIDATES:]
        best = best[np.argsort(-logits[row][best], kind="stable")]
        found[row, 1 : 1 + CANDIDATES] = logits[row][best] - norm[row]
        found[row, 1 + CANDIDATES :] = best
    return found
