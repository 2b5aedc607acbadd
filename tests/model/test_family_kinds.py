"""Tagging, answering and choosing on every family of FAMILIES: against stock transformers, text by text, both engines, and offsets for every manner of tokenizer."""

import json
from concurrent.futures import Future
from functools import cache

import numpy as np
import pytest
import regex
import torch
import transformers
from families import FAMILIES, build_base
from scipy.special import log_softmax, logsumexp
from transformers.models.auto import modeling_auto

from doxa.errors import DoxaError
from doxa.inference.loading import Request, load_labeller, read_model
from doxa.inference.predictor import Predictor
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.question import Question
from doxa.text.tokenizer import load_tokenizer

LABELS = ("B-MOOD", "B-ORG", "I-MOOD", "I-ORG", "O")
HEADS = {"tags": Head("gold", "tags", LABELS), "span": Head("gold", "span", settings={"may_be_none": True, "most_tokens": 30}), "choice": Head("gold", "choice")}
HAS = {kind: {name for name, family in FAMILIES.items() if family.model_type in getattr(modeling_auto, KINDS[kind].stock.mapping)} for kind in HEADS}
LACKS = [(name, kind) for kind in HEADS for name in FAMILIES if name not in HAS[kind]]
# Likely pieces; a decoder whose answering network names its encoder otherwise than the base; word pieces in pairs.
QUICK = {("xlm-roberta", "tags"), ("qwen2", "span"), ("electra", "choice")}
EVERY = [pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow) for kind in HEADS for name in FAMILIES if name in HAS[kind]]
WORD_PIECE = ("bert", "electra", "ernie", "distilbert", "mpnet")
SENTENCE_PIECE = ("xlm-roberta", "albert", "deberta-v3", "t5", "mt5")
BYTE_PAIRS = ("roberta", "modernbert", "bart", "gpt2", "qwen2", "qwen3", "llama")


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: build_base(family, root / family))


# --- training, and stock transformers beside it

GOOD, BAD = "good gain rally growth relief great".split(), "bad loss crash slump default poor".split()
TOKENS = (["The", "bank", "'s", "profit", "rose", "12.5", "%", "."], ["贷款", "违约", "率", "上升", "，", "good", "gain"], ["🚀", "cafe\u0301", "Ｆｕｌｌ", "x\u200by"],
          ["good"] * 9, ["银", "行", "计", "提"])
CONTEXTS = ("The bank sets aside more money for bad loans.", "贷款违约率上升，银行计提更多准备金。 good  gain", "two  spaces\tand\r\nlines \r\n end 🚀 cafe\u0301 e\u0301clair",
            "👩‍👩‍👧 Ｆｕｌｌ　ｗｉｄｔｈ x\u200by", " great results again ", "bad " * 20)


def make_records(kind: str, n: int) -> list[dict]:
    draw, made = np.random.default_rng(3), []
    for _ in range(n):
        words = [str(word) for word in draw.choice(BAD, draw.integers(2, 7))]
        at, good = int(draw.integers(len(words))), str(draw.choice(GOOD))
        words[at] = good
        text = " ".join(words)
        if kind == "tags":
            made.append({"tokens": words, "gold": ["B-MOOD" if word == good else "O" for word in words]})
        elif kind == "span":
            is_there = bool(draw.random() < 0.7)
            made.append({"question": "what rose?", "context": text if is_there else text.replace(good, "poor"), "gold": [{"text": good, "start": text.index(good)}] if is_there else []})
        else:
            made.append({"text": "what rose?", "choices": words[:4], "gold": min(at, 3)})
    return made


def train(base_folder, output, kind: str, **more) -> None:
    from doxa.training.examples import Example, LabelledSet
    from doxa.training.finetune import finetune
    from doxa.training.plan import Listener, Plan

    asked, made = KINDS[kind], []
    for i, record in enumerate(make_records(kind, 48)):
        question = asked.read_question(Record("r", i, b"", record), TextFields())
        made.append(Example(f"r:{i}", question, (asked.read_gold(record["gold"]),)))
    rate = 5e-3 if kind == "choice" else 1e-3  # a choice has one output, born small: its texts are to differ by more than rounding
    plan = Plan(str(base_folder), str(output), rate, None, "cpu", "fp32", False,
                **{"loop": {"num_train_epochs": 2, "per_device_train_batch_size": 8, "seed": 1, "layerwise_lr_decay": 0.9}} | more)
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        finetune(plan, [HEADS[kind]], LabelledSet(made[:40]), LabelledSet(made[40:]), LabelledSet(), Listener(lambda text: None, lambda text: None, lambda progress: None, lambda rows: ""))
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])


def asked_of(kind: str) -> list[dict]:
    if kind == "tags":
        return [*({"tokens": tokens} for tokens in TOKENS), *({"text": text} for text in CONTEXTS)]
    if kind == "span":
        return [{"question": question, "context": context} for question in ("what rose?", "谁 违约？") for context in CONTEXTS]
    return [{"text": text, "choices": [str(other).strip() for other in CONTEXTS if other != text][: 2 + i % 4]} for i, text in enumerate(CONTEXTS)]


def run(model, engine: str, kind: str) -> tuple[list[dict], list, list[np.ndarray], list[str]]:
    """Entries as predict says them, layouts, outputs of their windows, and the reasons for the engine."""
    request = Request(str(model), "cpu", engine, "fp32", with_scores=True)
    known = read_model(request)
    labeller, reasons = load_labeller(request, known)

    def submit(questions) -> Future:
        done: Future = Future()
        done.set_result(labeller.label(questions))
        return done

    made = [Record("t", i, b"", record) for i, record in enumerate(asked_of(kind))]
    outcomes = Predictor(submit, known.kind, ["gold"], known.tokenizer, known.fields(request)).predict_window(made)
    assert not any(outcome.error for outcome in outcomes)
    layouts = known.kind.lay_out([known.kind.read_question(record, known.fields(request)) for record in made], known.tokenizer, labeller.reading)
    outputs = iter(labeller.memory.compute([window for layout in layouts for window in layout.windows])[0])
    return [outcome.added["prediction"]["gold"] for outcome in outcomes], layouts, [[next(outputs) for _ in layout.windows] for layout in layouts], reasons


@torch.inference_mode()
def check(model, kind: str) -> None:
    said, layouts, outputs, _ = run(model, "torch", kind)
    converted, _, others, reasons = run(model, "openvino", kind)
    assert any("engine openvino" in reason for reason in reasons)
    for ours, theirs in zip(outputs, others):
        for one, other in zip(ours, theirs, strict=True):
            assert np.abs(one - other).max() < 1e-3 * max(1.0, np.abs(one).max())
    assert sum(without_scores(one) == without_scores(other) for one, other in zip(said, converted)) >= len(said) - 1
    network, info = getattr(transformers, KINDS[kind].stock.auto_class).from_pretrained(model, output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert network.dtype == torch.float32
    tokenizer, heads = transformers.AutoTokenizer.from_pretrained(model), json.loads((model / "doxa.json").read_text())["heads"]
    n_firm = 0
    for record, entry, layout, own in zip(asked_of(kind), said, layouts, outputs):
        n_firm += CHECKS[kind](network.eval(), tokenizer, record, entry, layout, own, heads[0]["temperature"])
    assert n_firm >= len(said) // 2, n_firm  # where nothing is nearly a tie


def check_outputs(layout, own, tokens, expected) -> None:
    """Of one window of doxa and what transformers alone makes of the text."""
    ids = tokens["input_ids"]
    assert layout.windows[0].ids == ids[0].tolist() and len(layout.windows) == 1
    assert np.abs(own[0] - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


def check_tags(network, tokenizer, record, entry, layout, own, temperature) -> bool:
    question = layout.about.question
    text, units = question.texts[0], question.more.spans
    tokens = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
    offsets = tokens.pop("offset_mapping")[0].tolist()
    logits = network(**tokens).logits[0].double().numpy()
    check_outputs(layout, own, tokens, logits)
    where = [next((i for i, (start, end) in enumerate(offsets) if start < unit[1] and end > unit[0]), None) for unit in units]
    assert None not in where
    runs = [place for i, place in enumerate(where) if not i or place != where[i - 1]]
    scores = log_softmax(logits[runs] / temperature, axis=1)
    tags = entry.get("tags") or tags_of(entry["entities"], units)
    firsts = [tag for i, tag in enumerate(tags) if not i or where[i] != where[i - 1]]
    said = sum(scores[i, LABELS.index(tag)] for i, tag in enumerate(firsts))
    best, second = best_two(scores)
    assert said == pytest.approx(best, abs=2e-3)
    for entity in entry["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"] == entity["text"].strip() != ""
    return best - second > 1e-2


def tags_of(entities: list[dict], units: list[tuple[int, int]]) -> list[str]:
    tags = ["O"] * len(units)
    for entity in entities:
        inside = [i for i, (start, end) in enumerate(units) if entity["start"] <= start and end <= entity["end"]]
        assert units[inside[0]][0] == entity["start"] and units[inside[-1]][1] == entity["end"]
        for i in inside:
            tags[i] = ("B-" if i == inside[0] else "I-") + entity["label"]
    return tags


def best_two(scores: np.ndarray) -> tuple[float, float]:
    """The scores of the best and the second best path of BIO tags, by keeping the two best ways to every tag."""
    ways: dict[str, list[float]] = {"O": [0.0]}
    for row in scores:
        ways = {tag: sorted((value + row[i] for before, values in ways.items() for value in values
                             if tag[0] != "I" or before[1:] == tag[1:]), reverse=True)[:2] for i, tag in enumerate(LABELS)}
    found = sorted((value for values in ways.values() for value in values), reverse=True)
    return found[0], found[1]


def check_span(network, tokenizer, record, entry, layout, own, temperature) -> bool:
    context = record["context"]
    tokens = tokenizer(record["question"], context, return_offsets_mapping=True, return_tensors="pt")
    is_context = [part == 1 for part in tokens.sequence_ids(0)]
    offsets = tokens.pop("offset_mapping")[0].tolist()
    found = network(**tokens)
    logits = torch.stack([found.start_logits[0], found.end_logits[0]], dim=1).double().numpy()  # (T, 2)
    check_outputs(layout, own, tokens, logits)
    starts, ends = (logits / temperature).T
    may = [i for i, (start, end) in enumerate(offsets) if is_context[i] and context[start:end].strip()]
    spans = {(i, j): starts[i] + ends[j] for i in may for j in may if i <= j < i + 30}
    nothing = starts[0] + ends[0]
    best = max(spans, key=spans.get)
    total = logsumexp([nothing, *spans.values()])
    assert entry["score"] == pytest.approx(np.exp(max(nothing, spans[best]) - total), abs=1e-3)
    first, second, *_ = sorted([nothing, *spans.values()], reverse=True)
    if entry["answer"] is not None:
        answer = entry["answer"]
        assert context[answer["start"] : answer["end"]] == answer["text"] == answer["text"].strip() != ""
    if first - second > 1e-3:
        assert (entry["answer"] is None) == (nothing > spans[best])
    if first - second <= 1e-3 or entry["answer"] is None:
        return first - second > 1e-3
    start, end = offsets[best[0]][0], offsets[best[1]][1]
    start, end = start + len(context[start:end]) - len(context[start:end].lstrip()), end - len(context[start:end]) + len(context[start:end].rstrip())
    clusters = [cluster.span() for cluster in regex.finditer(r"\X", context)]
    assert answer["start"] == next(a for a, b in clusters if a <= start < b) and answer["end"] == next(b for a, b in clusters if a < end <= b)
    return True


def check_choice(network, tokenizer, record, entry, layout, own, temperature) -> bool:
    choices = record["choices"]
    tokens = tokenizer([record["text"]] * len(choices), choices, padding=True, padding_side="right", return_tensors="pt")
    expected = network(**{name: tensor[None] for name, tensor in tokens.items()}).logits  # (1, K, T) -> (1, K)
    assert expected.shape == (1, len(choices))
    expected = expected[0].double().numpy()
    for window, ids, mask in zip(layout.windows, tokens["input_ids"], tokens["attention_mask"], strict=True):
        assert window.ids == ids[mask.bool()].tolist()
    assert np.abs(np.ravel(own) - expected).max() < 2e-5 * max(1.0, np.abs(expected).max())
    scores = np.exp(log_softmax(expected / temperature))
    assert entry["scores"] == pytest.approx(scores, abs=1e-3)
    assert expected[entry["index"]] == pytest.approx(expected.max(), abs=1e-4) and entry["text"] == choices[entry["index"]]
    return np.diff(np.sort(expected))[-1] > 1e-4


CHECKS = {"tags": check_tags, "span": check_span, "choice": check_choice}


def without_scores(entry):
    if isinstance(entry, dict):
        return {key: without_scores(value) for key, value in entry.items() if not key.startswith("score")}
    return [without_scores(value) for value in entry] if isinstance(entry, list) else entry


@pytest.mark.parametrize("family, kind", EVERY)
def test_trains_and_gives_what_stock_gives(base, family, kind, tmp_path):
    train(base(family), tmp_path / "out", kind)
    check(tmp_path / "out", kind)


@pytest.mark.slow
@pytest.mark.parametrize("family, kind", [("qwen2", "tags"), ("llama", "span"), ("t5", "span"), ("gpt2", "span"), ("albert", "choice")])
def test_few_weights_are_trained_and_merged(base, family, kind, tmp_path):
    """A fresh process has compared model, adapter on its base, and training."""
    train(base(family), tmp_path / "out", kind, peft="lora", peft_rank=2, keeps_adapter=True)
    check(tmp_path / "out", kind)


@pytest.mark.parametrize("family", ["qwen2", "gpt2", "bert"])
def test_an_encoder_goes_from_kind_to_kind(base, family, tmp_path):
    """The weights of one that answers are those of one that tags, whatever the two networks call them; the outputs are new."""
    from doxa.model.network import build_network, save_network

    answering = build_network(str(base(family)), [HEADS["span"]])
    save_network(answering, str(tmp_path / "answering"), None)
    (tmp_path / "answering" / "tokenizer.json").write_bytes((base(family) / "tokenizer.json").read_bytes())
    tagging = build_network(str(tmp_path / "answering"), [HEADS["tags"]])
    ours, theirs = ({name.split(".", 1)[1]: weights for name, weights in network.state_dict().items() if name.startswith(network.base_model_prefix + ".")}
                    for network in (answering, tagging))
    assert len(ours) > 20 and ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    pretrained = getattr(transformers, FAMILIES[family].architecture).from_pretrained(base(family), dtype=torch.float32).base_model.state_dict()
    assert all(torch.equal(ours[name], pretrained[name]) for name in ours)


@pytest.mark.parametrize("family", ["t5", "qwen2"])
def test_only_the_outputs_learn_as_outputs(base, family):
    """T5 that answers has no module around its encoder and decoder, by which the others' are told from the outputs."""
    from doxa.model.network import build_network
    from doxa.training.optimizer import make_optimizer

    model = build_network(str(base(family)), [HEADS["span"]])
    groups = make_optimizer(model, 1.0, 0.0, layerwise_decay=0.5, head_factor=8.0).param_groups
    factor = {id(parameter): group["lr_factor"] for group in groups for parameter in group["params"]}
    by_name = {name: factor[id(parameter)] for name, parameter in model.named_parameters()}
    assert {name for name, value in by_name.items() if value == 8.0} == {"qa_outputs.weight", "qa_outputs.bias"}
    assert factor[id(model.get_input_embeddings().weight)] == min(by_name.values()) == 0.5 ** (5 if family == "t5" else 3)


def test_weights_that_are_lost_are_told_of(base, tmp_path):
    """The encoder's own, under the name that the answering network has for it; its outputs are no loss."""
    from safetensors.torch import load_file, save_file

    from doxa.model.network import build_network

    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((base("llama") / name).read_bytes())
    weights = load_file(base("llama") / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DoxaError, match=r"lacks 1 weights of its encoder, transformer\.layers\.1\.mlp\.up_proj\.weight for one"):
        build_network(str(tmp_path), [HEADS["span"]])


@pytest.mark.parametrize("family, kind", LACKS)
def test_a_kind_that_a_family_has_not_is_refused_in_one_line(base, family, kind, tmp_path):
    with pytest.raises(DoxaError, match=rf'no {KINDS[kind].stock.words} for model_type "{FAMILIES[family].model_type}"') as caught:
        train(base(family), tmp_path / "out", kind)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_which_kinds_a_family_has():
    """As README's table says it."""
    assert {(family, kind) for family, kind in LACKS} == {("bart", "tags"), *((family, "choice") for family in ("t5", "mt5", "bart", "gpt2", "qwen2", "qwen3", "llama"))}


# --- offsets, by outputs that say for sure what is to be found

LONG = "bad loss crash slump. " * 60
tokenizer_of = cache(load_tokenizer)  # a hundred questions are put to each
ANSWERS = ("😀", "贷款违约", "cafe\u0301", "Ｆｕｌｌ", "👩‍👩‍👧", "नमस्ते", "x\u200by", "e\u0301", "12.5%")


def ask(family_folder, kind: str, question: Question, gold, outputs_of=None, most: int = 128, policy: str = "windows", head=None) -> dict:
    """What a kind says where the network is sure of what a question's lessons teach, or (`outputs_of` a lesson) of something else."""
    asked, head = KINDS[kind], head or HEADS[kind]
    tokenizer = tokenizer_of(str(family_folder))
    layout, = asked.lay_out([question], tokenizer, Reading(tokenizer.frame, most, policy))
    outputs = []
    for lesson in asked.teach(question, layout, gold, head):
        window, = lesson.windows
        logits = np.zeros((len(window.ids), 2 if kind == "span" else len(LABELS)), np.float32)
        if kind == "span":
            logits[lesson.target, [0, 1]] = 20.0 if any(lesson.target) else 5.0
        else:
            places = np.flatnonzero(lesson.target >= 0)
            logits[places, lesson.target[places]] = 20.0
        outputs.append(logits if outputs_of is None else outputs_of(window, layout))
    return asked.answer([layout], outputs, [head], True)[0]["gold"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_has_the_offsets_of_the_text(base, family):
    for before in ("", "The  bank\r\n\t", "银行 ", LONG):
        for behind in ("", "\r\n", " . ", "  更多。"):
            for text in ANSWERS:
                context = f"{before}{text}{behind}"
                said = ask(base(family), "span", Question(("what rose?", context)), [{"text": text, "start": len(before)}])
                assert (said["answer"]["text"], said["answer"]["start"], said["answer"]["end"]) == (text, len(before), len(before) + len(text)), (context, text)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_answer_is_a_space(base, family):
    """Nor begins or ends with one, whatever the network finds likely."""
    context = " \t The  bank \r\n\r\n　贷款　 🚀  cafe\u0301  "
    draw = np.random.default_rng(5)
    for _ in range(60):
        said = ask(base(family), "span", Question(("what rose?", context)), [], lambda window, layout: draw.normal(0.0, 4.0, (len(window.ids), 2)).astype(np.float32))
        if said["answer"] is not None:
            text, start, end = said["answer"]["text"], said["answer"]["start"], said["answer"]["end"]
            assert context[start:end] == text == text.strip() != "" and context[end : end + 1] != "\u0301"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_entity_has_the_offsets_of_the_text(base, family):
    for before in ("", "The  bank\r\n\t", "银行， ", LONG):
        for behind in ("", "\r\n", " . ", "  更多。"):
            for entity in ANSWERS:
                text = f"{before}{entity}{behind}"
                record = Record("t", 1, b"", {"text": text})
                gold = [{"start": len(before), "end": len(before) + len(entity), "label": "ORG"}]
                said = ask(base(family), "tags", KINDS["tags"].read_question(record, TextFields()), gold)
                assert [(found["start"], found["end"], found["text"], found["label"]) for found in said["entities"]] == [
                    (len(before), len(before) + len(entity), entity, "ORG")], (text, entity)


def test_ideographs_of_one_token_are_not_parted(tmp_path):
    """银行 is one token, of which each ideograph is a unit; so is what WordPiece does not know."""
    from tokenizers import Tokenizer

    folder = build_base("qwen2", tmp_path / "base")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens = [token for token in tokenizer.encode("公司第三季度利润同比增长").offsets if token[1] - token[0] > 1]
    assert tokens  # some hold two ideographs
    for start, end in tokens:
        said = ask(folder, "tags", KINDS["tags"].read_question(Record("t", 1, b"", {"text": "公司第三季度利润同比增长"}), TextFields()),
                   [{"start": start, "end": end, "label": "ORG"}])
        assert [(found["start"], found["end"]) for found in said["entities"]] == [(start, end)]


def test_none_is_said_where_the_first_token_is_likeliest(base):
    """Of GPT-2, Qwen and T5 it is one of the question, which no answer can hold."""
    for family in FAMILIES:
        assert ask(base(family), "span", Question(("what rose?", "The bank.")), [])["answer"] is None


@pytest.mark.parametrize("family, is_shown", [("bert", True), ("t5", True), ("roberta", False), ("gpt2", False), ("qwen2", False), ("llama", False)])
def test_a_window_of_spaces_alone_has_no_answer(base, family, is_shown):
    """Also where the model has not learnt that there may be none; line ends are no tokens for word pieces and likely pieces."""
    question, head = Question(("what rose?", "\r\n" * 200 + "good")), Head("gold", "span", settings={"may_be_none": False, "most_tokens": 30})
    said = ask(base(family), "span", question, [], most=64, policy="head", head=head)
    assert said == {"answer": None, "score": 1.0} if not is_shown else "good".startswith(said["answer"]["text"][:1])


def test_no_answer_goes_over_the_gap_between_head_and_tail(base):
    context = LONG + "good end"
    question = Question(("what rose?", context))

    def outputs(window, layout):
        at = layout.about.places[0].at
        logits = np.zeros((len(window.ids), 2), np.float32)
        n_head = layout.about.places[0].parts[0].stop
        logits[at + n_head - 1, 0], logits[at + n_head, 1], logits[at, 0], logits[at + 1, 1] = 9.0, 9.0, 4.0, 4.0
        return logits

    said = ask(base("bert"), "span", question, [], outputs, policy="head-tail")
    assert said["answer"]["text"] in context and said["answer"]["end"] - said["answer"]["start"] < 200


# --- how tokens of a record are joined

ENGLISH, CHINESE = ["The", "bank", "'s", "profit", "rose", "12.5", "%", "."], ["贷款", "违约", "率", "good", "gain", "上升"]


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_give_the_ids_of_the_text_that_they_make(base, family):
    """Those that a base was pretrained with. transformers' own way to read tokens gives the same for word pieces; for likely pieces it puts a space
    between ideographs, too; pairs of bytes it reads without any space, and with one before the first word as well where `add_prefix_space` is on."""
    ours = load_tokenizer(str(base(family)))
    plain = transformers.AutoTokenizer.from_pretrained(base(family))
    for tokens, is_spaced in ((ENGLISH, True), (CHINESE, False)):
        question = KINDS["tags"].read_question(Record("t", 1, b"", {"tokens": tokens}), TextFields())
        text, spans = question.texts[0], question.more.spans
        assert [text[start:end] for start, end in spans] == tokens and (text == " ".join(tokens)) == is_spaced
        layout, = KINDS["tags"].lay_out([question], ours, Reading(ours.frame, 128))
        ids = layout.windows[0].ids
        assert ids == plain(text)["input_ids"]
        split = plain(tokens, is_split_into_words=True)
        is_same = family in WORD_PIECE or family in SENTENCE_PIECE and is_spaced
        assert (split["input_ids"] == ids) == is_same
        if is_same:
            words = split.word_ids()
            firsts = [words.index(i) for i in range(len(tokens))]
            at = layout.about.places[0].at
            found = (layout.about.first_tokens(spans) + at).tolist()
            offsets = ours.encode_with_offsets([text])[0][1]
            for own, stock in zip(found, firsts):  # a space that is a token of its own stands for no part of the word
                assert own == stock or own == stock + 1 and text[slice(*offsets[stock - at])].isspace()
