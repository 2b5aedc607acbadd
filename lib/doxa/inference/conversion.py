"""Make the form that OpenVINO runs from the weights of a model directory, and keep it there."""

import os

import openvino
import torch

from doxa.model.kinds.kind import Stock
from doxa.model.kinds.slices import CLASSIFIER
from doxa.model.network import load_network
from doxa.model.convert import CannotConvert, convert
from doxa.model.form import PLAIN, complete_form, keep_form

__all__ = ["CannotConvert", "make_form", "save_form"]


def make_form(directory: str, made_from: dict[str, str] | None, stock: Stock = CLASSIFIER) -> openvino.Model:
    """Convert a network; with `made_from` (the sha256 of the files it depends on) the directory keeps the result, unless
    it is read-only. Raises CannotConvert, and DoxaError for weights that cannot be loaded."""
    model = convert(load_network(directory, torch.float32, stock), stock)
    if made_from is not None:
        def write(folder: str) -> None:
            save_form(model, folder)
            complete_form(folder, made_from, {})

        keep_form(directory, write)
    return model


def save_form(model: openvino.Model, folder: str, name: str = PLAIN) -> None:
    openvino.save_model(model, os.path.join(folder, f"{name}.xml"), compress_to_fp16=False)
