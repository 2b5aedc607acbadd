"""The files by which sentence-transformers knows how an encoder's tokens become one vector."""

import json
import os
from typing import Any

from doxa.errors import DoxaError
from doxa.model.directory import write_json

LIST = "modules.json"
POOLINGS = ("mean", "cls")
_READ = ("Transformer", "Pooling", "Normalize")  # classes of modules, the last words of their types


def read_pooling(directory: str) -> str:
    """One of POOLINGS: as `modules.json` says, `mean` where there is none. Raises DoxaError where vectors are made in another way."""
    path = os.path.join(directory, LIST)
    if not os.path.exists(path):
        return "mean"
    pooling = "mean"
    try:
        for module in _read(path):
            name = module["type"].rpartition(".")[2]
            if name not in _READ:
                raise DoxaError(f"{path} names a module {name}, which doxa does not have; there are {', '.join(_READ)}")
            if name == "Pooling":
                pooling = _read_mode(os.path.join(directory, os.path.normpath("/" + module["path"]).lstrip("/"), "config.json"))
    except (KeyError, TypeError, AttributeError) as error:
        raise DoxaError(f"{path} is damaged: {type(error).__name__} {error}") from None
    return pooling


def _read_mode(path: str) -> str:
    """The mode of a `Pooling`, which versions before 6 of sentence-transformers spell as one flag for each."""
    config = _read(path)
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else list(named or []) or [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise DoxaError(f"{path}: tokens are pooled by {' and '.join(modes) or 'nothing'}, which doxa does not have; there are {', '.join(POOLINGS)}")
    return modes[0]


def write_modules(directory: str, width: int, max_length: int, pooling: str) -> None:
    """Describe an encoder that lies in the directory: tokens (`width` numbers each) pooled, and vectors of length 1. By the older spelling, which all versions read."""
    types = "sentence_transformers.models."
    modules = [{"idx": i, "name": str(i), "path": path, "type": types + name} for i, (path, name) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")))]
    modes = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "mean_sqrt_len"}
    write_json(os.path.join(directory, LIST), modules)
    for module in modules[1:]:
        os.mkdir(os.path.join(directory, module["path"]))
    write_json(os.path.join(directory, "1_Pooling", "config.json"),
           {"word_embedding_dimension": width} | {f"pooling_mode_{key}": mode == pooling for key, mode in modes.items()})
    write_json(os.path.join(directory, "sentence_bert_config.json"), {"max_seq_length": max_length, "do_lower_case": False})
    write_json(os.path.join(directory, "config_sentence_transformers.json"), {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise DoxaError(f"{path} is damaged: {error}") from None
