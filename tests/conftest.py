"""What several test files share: the library on the path, and one tiny model."""

import sys
from pathlib import Path

import pytest
import shell  # noqa: F401 (keeps the caller's environment, before torch is imported)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))  # as the stubs in bin/ do
from doxa.device.libraries import hold_telemetry  # noqa: E402

hold_telemetry()  # as the commands do: it would start a process for each of fifty events of a conversion, and call out

TOPICS = ("credit", "earnings", "merger")
SENTIMENTS = ("negative", "neutral", "positive")
TEXTS = (
    "The bank sets aside more money for bad loans.", "Profit rose twelve percent on strong demand.",
    "Both boards agreed to merge next spring.", "The rating agency cut its outlook to negative.",
    "Sales fell short of what the company had promised.", "A rival offers cash for the whole of the shares.",
    "Customers repay their cards later than a year ago.", "The dividend stays where it was.",
    "Regulators look at the deal until autumn.", "Margins held up although wages rose.",
    "贷款违约率上升,银行计提更多准备金。", "公司第三季度利润同比增长百分之十二。", "两家公司宣布合并,交易金额尚未公布。",
    "评级机构下调了该公司的信用展望。", "销售额低于预期,股价下跌。", "竞争对手提出全现金收购要约。",
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A model directory that doxa wrote: BERT with two layers of 32, random weights of a fixed seed, two heads."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def make_tiny_model(directory: Path, texts=TEXTS, seed: int = 7, heads=None, spread: float = 0.5) -> Path:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from doxa.model.network import save_network
    from doxa.model.directory import ModelTable, publish
    from doxa.model.heads import Head, output_names
    from doxa.text.vocabulary import learn_tokenizer

    heads = heads or [Head("topic", "label", TOPICS), Head("sentiment", "label", SENTIMENTS)]
    tokenizer = learn_tokenizer(texts, vocabulary_size=600)
    names = output_names(heads)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, pad_token_id=0, initializer_range=spread,  # wide, so that texts differ in their labels
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
    with publish(str(directory), ModelTable(heads, 128)) as working:
        save_network(model, working, None)
        tokenizer.save(f"{working}/tokenizer.json")
    return directory
