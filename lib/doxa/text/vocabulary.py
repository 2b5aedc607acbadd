"""Learn a vocabulary from the user's own texts, for any language without a base model at hand."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from doxa.text.decoding import CONTINUING, wordpiece_decoder

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def learn_tokenizer(texts: Iterable[str], vocabulary_size: int = 8000, lowercase: bool = True) -> Tokenizer:
    """Learn a BERT-style WordPiece tokenizer; each Chinese character is a token of its own.

    Tokens are written as text by `wordpiece_decoder`. The same texts give the same tokenizer. Every character of the texts is kept, also one seen once.
    """
    texts = list(texts)
    learner = _empty(WordPiece(unk_token="[UNK]"), lowercase)
    # The trainer numbers the characters inside words in random order, and ties between merges are broken by number.
    # Naming them beforehand, as special tokens, fixes the order; the tokenizer that is returned has the real ones alone.
    inner = sorted(_inner_characters(learner, texts))
    learner.train_from_iterator(texts, WordPieceTrainer(
        vocab_size=vocabulary_size + len(inner), min_frequency=2, special_tokens=[*SPECIAL_TOKENS, *inner], show_progress=False))
    tokenizer = _empty(WordPiece(learner.get_vocab(), unk_token="[UNK]"), lowercase)
    return _framed(tokenizer)


def learn_writing_tokenizer(texts: Iterable[str], vocabulary_size: int = 8000) -> Tokenizer:
    """Learn a tokenizer whose tokens give every text back to the letter, also one of characters never seen: pairs of bytes that stand
    side by side often become one token, within words (Sennrich et al. 2016, on bytes as Radford et al. 2019). The special tokens are those of
    `learn_tokenizer`: a text begins with [CLS] and ends with [SEP]."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, BpeTrainer(vocab_size=vocabulary_size, min_frequency=2, special_tokens=list(SPECIAL_TOKENS),
                                                    initial_alphabet=ByteLevel.alphabet(), show_progress=False))
    return _framed(tokenizer)


def _framed(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)
    return tokenizer


def _empty(model: WordPiece, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer, tokenizer.decoder = BertPreTokenizer(), wordpiece_decoder()
    return tokenizer


def _inner_characters(tokenizer: Tokenizer, texts: list[str]) -> set[str]:
    """The characters that stand inside a word, as WordPiece writes them (`##a`)."""
    words: set[str] = set()
    for text in texts:
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)))
    return {CONTINUING + character for word in words for character in word[1:]}
