"""See to it that AutoTokenizer reads a directory just written as doxa does.

transformers 5 takes only the vocabulary from tokenizer.json where tokenizer_config.json names a class of its own: how texts are normalised,
cut and framed it then builds anew, by what the class thinks right, which may not be what the base was pretrained with."""

import json
import os

from transformers import AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from doxa.model.directory import write_json
from doxa.model.suit import takes_token_types
from doxa.text.tokenizer import TextTokenizer

# What normalisers, cutters and byte fallbacks treat in different ways; the last are spaces of every kind.
PROBES = ("Profit rose 12.5%, they said - isn't it?", "利润上升了１２％，股价（涨停）。", "e\u0301clair café CAFÉ Straße", "ﬁnance ①②③ Ｆｕｌｌ　ｗｉｄｔｈ ½", "👩‍👩‍👧 🚀", "नमस्ते مرحبا ไทย 한국어",
          "``quoted'' <b> @name #tag http://a.b/c_d", "a\u200bb\u00adc\ufeffd", "  two  spaces\tand\nlines\r\n\r\nend ")
N_TEXTS = 200


def align_stock_tokenizer(directory: str, tokenizer: TextTokenizer, model: PreTrainedModel, texts: list[str]) -> list[str]:
    """Complete tokenizer_config.json: the padding token, and whether the model is given token types. Where AutoTokenizer gives other ids for
    PROBES or the first of `texts`, let it take tokenizer.json as it is. Returns what the user should know."""
    path = os.path.join(directory, "tokenizer_config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    pad_token = tokenizer.rust.id_to_token(model.config.get_text_config().pad_token_id)
    if not config.get("pad_token") and pad_token is not None:
        config["pad_token"] = pad_token
    config["model_input_names"] = ["input_ids", *(["token_type_ids"] if takes_token_types(model) else []), "attention_mask"]
    write_json(path, config)
    asked = [*PROBES, *texts[:N_TEXTS]]
    if _agrees(directory, tokenizer, asked):
        return []
    named = config.get("tokenizer_class")
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    for key in ("add_bos_token", "add_eos_token"):
        config.pop(key, None)  # they would replace the frame in tokenizer.json
    write_json(path, config)
    if _agrees(directory, tokenizer, asked):
        return [f"transformers' {named} reads texts otherwise than the base's tokenizer.json, which is what doxa goes by; "
                "tokenizer_config.json tells it to take that file as it is"]
    return ["transformers' AutoTokenizer gives other token ids than tokenizer.json, which is what doxa goes by; load it by tokenizers.Tokenizer.from_file"]


def _agrees(directory: str, tokenizer: TextTokenizer, texts: list[str]) -> bool:
    """Whether AutoTokenizer gives the same ids for these texts, alone and each with the one before it."""
    logging.set_verbosity_error()
    try:
        stock = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        alone, pairs = stock(texts, verbose=False)["input_ids"], stock(texts[1:], texts[:-1], verbose=False)["input_ids"]
    except Exception:  # whatever a class that does not fit its file raises
        return False
    own = tokenizer.encode(texts)
    frame = tokenizer.frame
    return alone == [frame.single(ids) for ids in own] and pairs == [frame.pair(first, second)[0] for first, second in zip(own[1:], own)]
