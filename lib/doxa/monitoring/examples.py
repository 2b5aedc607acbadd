"""The most telling texts of a group, near-duplicates shown once."""

import re
import zlib

import numpy as np

_NOISE = re.compile(r"https?://\S+|[@#]\w+|[\W\d_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
NEAR = 0.6
N_HASHES = 32
_PRIME = np.uint64(2**31 - 1)
_FACTORS, _SHIFTS = np.random.default_rng(1).integers(1, 2**31 - 1, size=(2, N_HASHES), dtype=np.uint64)


def shingles(text: str) -> frozenset[str]:
    """Character 5-grams (3-grams in Chinese and Japanese) of the text without links, handles, digits, punctuation, case."""
    plain = _NOISE.sub(" ", text.casefold()).strip() or text
    size = 3 if len(_UNSPACED.findall(plain)) * 2 > len(plain) else 5
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def fold_near(candidates: list[dict]) -> list[dict]:
    """Fold near-duplicates into the first of them: its `count` is the sum. `candidates` come in order of preference.

    Near means that two texts share at least 60 % of their shingles (Jaccard). MinHash signatures (Broder 1997) rule out
    most pairs at once; the others are compared exactly.
    """
    sets = [shingles(candidate["text"]) for candidate in candidates]
    signatures = np.array([_signature(own) for own in sets]).reshape(len(sets), N_HASHES)
    kept: list[int] = []
    folded = [dict(candidate) for candidate in candidates]
    for index, own in enumerate(sets):
        alike = (signatures[kept] == signatures[index]).mean(axis=1) >= NEAR / 2 if kept else []
        near = next((k for k, maybe in zip(kept, alike) if maybe and _jaccard(sets[k], own) >= NEAR), None)
        if near is None:
            kept.append(index)
        else:
            folded[near]["count"] += candidates[index]["count"]
    return [folded[index] for index in kept]


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def _signature(own: frozenset[str]) -> np.ndarray:
    hashes = np.array([zlib.crc32(shingle.encode()) for shingle in own], dtype=np.uint64)
    return ((_FACTORS[:, None] * hashes + _SHIFTS[:, None]) % _PRIME).min(axis=1)
