"""Which texts are nearly the same."""

import re

import numpy as np

from doxa.monitoring.portion import GOLDEN

# Jaccard's index of the shingles of two texts, from which on they are near-duplicates: a changed word in a sentence is, another sentence of its pattern is not.
NEAR = 0.6
LONGEST, UNSPACED_LENGTH = 5, 3
_NOISE = re.compile(r"(?:https?://\S+|@\w+|[\W\d_])+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_FACTORS = GOLDEN ** np.arange(1, LONGEST + 1, dtype=np.uint64)


class Likeness:
    """Texts by their shingles: the different runs of 5 characters (3 in Chinese and Japanese) of a text without links, handles, digits, punctuation and case;
    the whole of a shorter one.

    A shingle is known by a hash of 64 bits, the sum of its characters times powers of GOLDEN, so that two are taken for one once in 10^19."""

    def __init__(self, texts: list[str]):
        self.n_texts = len(texts)
        plain = [_NOISE.sub(" ", text.casefold()).strip() or text for text in texts]
        sizes = np.array([UNSPACED_LENGTH if len(_UNSPACED.findall(one)) * 2 > len(one) else LONGEST for one in plain], int)
        lengths = np.array([len(one) for one in plain], int)
        characters = np.frombuffer(("".join(plain) + "\0" * LONGEST).encode("utf-32-le", errors="surrogatepass"), np.uint32).astype(np.uint64)
        text = np.repeat(np.arange(len(texts)), lengths)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(text))  # characters from each on to the end of its text
        hashes = np.zeros(len(text), np.uint64)
        for offset, factor in enumerate(_FACTORS):
            hashes += np.where(offset < np.minimum(left, sizes[text]), characters[offset : offset + len(text)] * factor, np.uint64(0))
        begins = (left >= sizes[text]) | (np.diff(text, prepend=-1) != 0)
        known, shingles = np.unique(hashes[begins], return_inverse=True)
        self._n_known = len(known)
        keys = np.sort(text[begins] * self._n_known + shingles)
        text, self._shingles = np.divmod(keys[np.diff(keys, prepend=-1) > 0], max(1, self._n_known))
        self._bounds = np.searchsorted(text, np.arange(self.n_texts + 1))
        self._sizes = np.diff(self._bounds)

    def near(self, one: int) -> np.ndarray:
        """Which of the texts (N,) are near-duplicates of one of them, itself among them."""
        is_of_one = np.zeros(self._n_known, bool)
        is_of_one[self._shingles[self._bounds[one] : self._bounds[one + 1]]] = True
        n_common = np.diff(np.append(0, np.cumsum(is_of_one[self._shingles]))[self._bounds])
        return n_common >= NEAR * (self._sizes + self._sizes[one] - n_common)
