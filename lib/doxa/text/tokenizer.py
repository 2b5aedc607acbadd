"""Token ids by the Rust `tokenizers` library, the same that AutoTokenizer gives."""

import hashlib
import json
import os
from functools import cached_property

from tokenizers import Tokenizer

from doxa.errors import DoxaError
from doxa.text.decoding import guess_decoder
from doxa.text.frame import Frame, read_frame

MANY_UNKNOWN = 0.05
# RoBERTa and its kin count positions from the padding id + 1, so two of them are never used.
POSITIONS_FROM_PADDING = frozenset((
    "roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet", "longformer", "luke", "data2vec-text", "ibert", "xmod"))


class TextTokenizer:
    """Texts to token ids. `fingerprint` names the tokenizer: equal ones give equal ids."""

    def __init__(self, tokenizer: Tokenizer, max_length: int):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.rust = tokenizer
        self.max_length = max_length
        self.frame: Frame = read_frame(tokenizer)
        self.unknown_id = _unknown_id(tokenizer)
        self.fingerprint = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of every text, whole and without special tokens, in order."""
        return [encoding.ids for encoding in self.rust.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_with_offsets(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """As `encode`, and for every id the characters of the text that it stands for: (start, end), end exclusive."""
        return [(encoding.ids, encoding.offsets) for encoding in self.rust.encode_batch(texts, add_special_tokens=False)]

    def encode_literally(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """As `encode_with_offsets`, but the names of special tokens are letters like others."""
        return [(encoding.ids, encoding.offsets) for encoding in self._literal.encode_batch(texts, add_special_tokens=False)]

    @cached_property
    def _literal(self) -> Tokenizer:
        literal = Tokenizer.from_str(self.rust.to_str())
        literal.encode_special_tokens = True
        return literal

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self._writing.decode(ids, skip_special_tokens=True)

    @cached_property
    def _writing(self) -> Tokenizer:
        """One that has a decoder; where that is not its own, a copy, since the fingerprint and the file that is saved are of the tokenizer as it came."""
        if self.rust.decoder is not None:
            return self.rust
        writing = Tokenizer.from_str(self.rust.to_str())
        writing.decoder = guess_decoder(self.rust)
        return writing

    def special_tokens(self) -> list[str]:
        """The names of the tokens that stand for no text."""
        return [token.content for token in self.rust.get_added_tokens_decoder().values() if token.special]

    def special_ids(self) -> tuple[int, ...]:
        """Ids of the tokens that stand for no text."""
        return tuple(id_ for id_, token in self.rust.get_added_tokens_decoder().items() if token.special)

    def mask_id(self) -> int | None:
        """Id of the token that hides another, by the names that BERT-like and RoBERTa-like vocabularies have for it."""
        return next((id_ for id_ in map(self.rust.token_to_id, ("[MASK]", "<mask>")) if id_ is not None), None)

    def count_unknown(self, ids: list[int]) -> int:
        return 0 if self.unknown_id is None else ids.count(self.unknown_id)


def load_tokenizer(directory: str) -> TextTokenizer:
    """Load `tokenizer.json` of a model directory. Raises DoxaError when it is missing or damaged."""
    path = os.path.join(directory, "tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the Rust library raises plain Exceptions
        if not os.path.exists(path):
            raise DoxaError(
                f"{directory} has no tokenizer.json; make one with: python -c \"from transformers import AutoTokenizer as T; "
                f"T.from_pretrained('{directory}').save_pretrained('{directory}')\"") from None
        raise DoxaError(f"{path} is damaged: {error}") from None
    return TextTokenizer(tokenizer, read_max_length(directory))


def write_tokenizer(tokenizer: TextTokenizer, directory: str, max_length: int) -> None:
    """Write `tokenizer.json`. A base's tokenizer_config.json that is there stays; else one is written by which AutoTokenizer reads it as it is."""
    tokenizer.rust.save(os.path.join(directory, "tokenizer.json"))
    path = os.path.join(directory, "tokenizer_config.json")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": %d, "unk_token": "[UNK]", '
                       '"sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}\n' % max_length)


def read_max_length(directory: str) -> int:
    """The most tokens the model can read, special tokens included: the smaller of what config and tokenizer say, at most 512 where the config says nothing."""
    limits = [512]
    config = read_object(os.path.join(directory, "config.json"))
    positions = config.get("max_position_embeddings") or config.get("n_positions")  # as GPT-2 calls it
    if isinstance(positions, int) and positions > 0:
        is_offset = str(config.get("model_type")) in POSITIONS_FROM_PADDING  # a damaged config may hold anything
        limits = [positions - (config.get("pad_token_id", 1) + 1 if is_offset else 0)]
    stated = read_object(os.path.join(directory, "tokenizer_config.json")).get("model_max_length")
    if isinstance(stated, (int, float)) and 0 < stated < 1e9:
        limits.append(int(stated))
    return min(limits)


def read_object(path: str) -> dict:
    """The object that a small JSON file holds; empty where the file is missing, damaged or holds none."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(model.get("unk_id"), int):
        return model["unk_id"]
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None


def describe_unknown(n_unknown: int, n_tokens: int, name: str) -> tuple[str, bool]:
    """Return a sentence on the share of unknown tokens, and whether it is too high to go on unwarned."""
    share = n_unknown / n_tokens if n_tokens else 0.0
    sentence = f"{share:.2%} of {n_tokens} tokens are unknown to {name}"
    if share > MANY_UNKNOWN:
        return sentence + ": it was made for another language; take a base of the texts' language, or --base scratch", True
    return sentence, False
