"""Text from tokens: what stands between two of them."""

import json
from typing import Any

from tokenizers import Regex, Tokenizer, decoders
from tokenizers.decoders import Decoder

CONTINUING = "##"
# Ideographs, kana, and signs of their width: beside one of them no space is written.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\x{3000}-\x{303f}\x{ff00}-\x{ffef}]"


def wordpiece_decoder(continuing: str = CONTINUING) -> Decoder:
    """Joins pieces that go on with a word, and writes a space between two words, but none beside an ideograph or its like, nor before . , ? and !.

    The vocabulary does not hold where spaces stood: between Chinese and Latin none is written."""
    return decoders.Sequence([decoders.WordPiece(continuing), decoders.Fuse(), decoders.Replace(Regex(f"(?<={_UNSPACED}) | (?={_UNSPACED})"), "")])


def guess_decoder(tokenizer: Tokenizer) -> Decoder:
    """For a tokenizer that has none: the decoder that undoes how it cuts texts up."""
    settings = json.loads(tokenizer.to_str())
    model, cutters = settings["model"], {cutter["type"]: cutter for cutter in _flat(settings["pre_tokenizer"])}
    if "ByteLevel" in cutters:
        return decoders.ByteLevel()
    if "Metaspace" in cutters or model["type"] == "Unigram":
        own = cutters.get("Metaspace", {})
        return decoders.Metaspace(own.get("replacement", "▁"), own.get("prepend_scheme", "always"))
    if model.get("end_of_word_suffix"):
        return decoders.BPEDecoder(model["end_of_word_suffix"])
    return wordpiece_decoder(model.get("continuing_subword_prefix") or CONTINUING)


def _flat(cutter: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A pre-tokenizer, or those of a sequence."""
    return [inner for part in cutter["pretokenizers"] for inner in _flat(part)] if cutter and "pretokenizers" in cutter else [cutter] if cutter else []
