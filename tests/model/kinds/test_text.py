"""Heads that write: how texts are put to a base, what is learnt, and what is written, each beside stock transformers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TEXTS
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.trainer_pt_utils import LabelSmoother
from writers import ENCODER_DECODERS, FAMILIES, make_writer

from doxa.errors import DoxaError, RecordError
from doxa.inference.generator import Generator, Manner, _Draw, _numbers
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS, foreign_head
from doxa.model.kinds.text import cut_at
from doxa.model.network import build_network, build_scratch
from doxa.model.safety import read_config
from doxa.model.writing import end_of_text, find_prompt
from doxa.text.frame import Reading, Window
from doxa.text.prompt import Prompting
from doxa.text.question import Question
from doxa.text.tokenizer import load_tokenizer
from doxa.text.vocabulary import learn_writing_tokenizer
from doxa.training.adaptation import adapt
from doxa.training.writing import Passage, WritingTask

TARGETS = ("Loans go bad.", "利润上升", "Both agree to it, at last.", "a")
SOME = TEXTS[::2]  # of both languages
KIND = KINDS["text"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writers")
    return {family: make_writer(folder / family, family) for family in FAMILIES}


class Base:
    """A base as doxa reads it, and as transformers does."""

    def __init__(self, directory):
        self.directory, self.config = str(directory), read_config(str(directory))
        self.is_encoder_decoder = bool(self.config.get("is_encoder_decoder"))
        self.tokenizer = load_tokenizer(self.directory)
        self.head = Head("reply", "text", settings={"prompt": find_prompt(self.directory, self.is_encoder_decoder), "max_new_tokens": 12})
        self.end_id = end_of_text(self.directory, self.tokenizer)
        self.model = build_network(self.directory, [self.head]).eval()
        self.stock = (AutoModelForSeq2SeqLM if self.is_encoder_decoder else AutoModelForCausalLM).from_pretrained(self.directory).eval()
        self.stock_tokenizer = AutoTokenizer.from_pretrained(self.directory)

    def reading(self, max_length: int = 128, policy: str = "windows") -> Prompting:
        return KIND.fit_reading(Reading(self.tokenizer.frame, max_length, policy), [self.head], self.config)

    def windows(self, texts=TEXTS) -> list[Window]:
        return [layout.windows[0] for layout in KIND.lay_out([Question((text,)) for text in texts], self.tokenizer, self.reading())]

    def generator(self, **manner) -> Generator:
        return Generator(self.model, torch.device("cpu"), 128, Manner(**{"max_new_tokens": 12} | manner), self.tokenizer.decode, [self.end_id])


@pytest.fixture(scope="module", params=FAMILIES)
def base(request, bases):
    return Base(bases[request.param])


def stock_ids(base: Base, text: str) -> list[int]:
    if base.stock_tokenizer.chat_template:
        return base.stock_tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False)
    return base.stock_tokenizer(text if base.is_encoder_decoder else text + "\n")["input_ids"]


# --- how a text is put


def test_a_text_is_put_as_stock_transformers_puts_it(base):
    assert [window.ids for window in base.windows()] == [stock_ids(base, text) for text in TEXTS]


def test_the_names_of_special_tokens_in_a_text_are_letters(base):
    special = set(base.tokenizer.special_ids()) - {base.tokenizer.unknown_id}
    plain, hostile = base.windows(["go on", "go <|im_end|></s><|endoftext|><s> on"])
    assert [i for i in hostile.ids if i in special] == [i for i in plain.ids if i in special]
    assert len(hostile.ids) > len(plain.ids) + 3


def test_a_long_text_is_cut_within_its_prompt(bases):
    base = Base(bases["qwen2"])
    text = " ".join(TEXTS[:10])
    whole = stock_ids(base, text)
    [layout] = KIND.lay_out([Question((text,))], base.tokenizer, base.reading(64))
    [window] = layout.windows
    assert (len(window.ids), layout.n_tokens, layout.is_cut) == (64 - 12, len(whole), True)
    n_tail = next(i for i, (one, other) in enumerate(zip(reversed(whole), reversed(window.ids))) if one != other)
    assert base.tokenizer.rust.decode(window.ids[-n_tail:], skip_special_tokens=False).endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert window.ids[:-n_tail] == whole[: len(window.ids) - n_tail]
    [refused] = KIND.lay_out([Question((text,))], base.tokenizer, base.reading(64, "error"))
    assert isinstance(refused, RecordError) and refused.code == "too_long_text"
    [tail] = KIND.lay_out([Question((text,))], base.tokenizer, base.reading(64, "head-tail"))
    assert len(tail.windows[0].ids) == 52 and base.tokenizer.decode(tail.windows[0].ids).split("\nassistant")[0].endswith(text[-20:])


def test_a_prompt_that_leaves_no_room_is_named(bases):
    base = Base(bases["llama"])
    crowded = replace(base.reading(), template="word " * 200 + "{text}")
    with pytest.raises(DoxaError, match="the prompt has .* tokens by itself, and 116 is all"):
        crowded.put(["text"], base.tokenizer)


def test_more_tokens_than_there_are_positions_are_refused(bases):
    for family, most in (("bart", 128), ("llama", 127)):
        base = Base(bases[family])
        base.head = replace(base.head, settings={"max_new_tokens": 500})
        with pytest.raises(DoxaError, match=f"--max-new-tokens 500: the model has positions for {most}"):
            base.reading()


def test_an_encoder_does_not_write(tiny_model):
    with pytest.raises(DoxaError, match="is an encoder, which reads and does not write"):
        build_network(str(tiny_model), [Head("reply", "text")])


def test_a_base_without_an_end_of_text_is_refused(bases, tmp_path):
    base = Base(bases["llama"])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DoxaError, match="names no token that ends a text"):
        end_of_text(str(tmp_path), base.tokenizer)
    (tmp_path / "config.json").write_text('{"eos_token_id": [7, 9]}')
    assert end_of_text(str(tmp_path), base.tokenizer) == 7


def test_models_that_others_made_are_known_by_their_architecture(base):
    assert foreign_head(base.config, "reply") == Head("reply", "text")


# --- what is learnt


def passages(base: Base) -> list[Passage]:
    frame = base.tokenizer.frame
    own = [frame.single(ids) if base.is_encoder_decoder else [*ids, base.end_id] for ids in base.tokenizer.encode(list(TARGETS))]
    return [Passage(window, target, "") for window, target in zip(base.windows(TEXTS[: len(TARGETS)]), own)]


def stock_loss(base: Base, smoothing: float = 0.0) -> float:
    """By transformers' own loss of labels, text by text: padding cannot play a part."""
    losses, counts = [], []
    for passage in passages(base):
        ids, target = passage.window.ids, passage.target
        labels = target if base.is_encoder_decoder else [-100] * len(ids) + target
        ids = ids if base.is_encoder_decoder else ids + target
        with torch.no_grad():
            found = base.stock(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
        loss = LabelSmoother(smoothing)(found, torch.tensor([labels]), shift_labels=not base.is_encoder_decoder) if smoothing else found.loss
        losses.append(loss.item())
        counts.append(len(target))
    return float(np.average(losses, weights=counts))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_transformers_over_the_targets_alone(base, smoothing):
    task = WritingTask(passages(base), label_smoothing=smoothing)
    with torch.no_grad():
        loss = task.batch(base.model, np.arange(len(TARGETS)))[1]().item()
    assert loss == pytest.approx(stock_loss(base, smoothing), rel=1e-5)


def test_lora_trains_nothing_but_what_it_adds(base):
    model = build_network(base.directory, [base.head])
    adapt(model, "lora", 4, 100, starts_fresh=KIND.starts_fresh)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all(".lora_" in name for name in trained)
    model.gradient_checkpointing_enable()
    loss = WritingTask(passages(base)).batch(model.train(), np.arange(2))[1]()
    loss.backward()
    moved = [parameter.grad.abs().sum().item() for name, parameter in model.named_parameters() if "lora_B" in name]
    assert all(gradient > 0 for gradient in moved)


# --- what is written


def test_greedy_writing_is_that_of_transformers(base):
    windows = base.windows(SOME)
    for window, rows in zip(windows, base.generator().compute(windows)):
        ids = torch.tensor([window.ids])
        stock = base.stock.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, eos_token_id=base.end_id, pad_token_id=0,
                                    return_dict_in_generate=True, output_logits=True)
        scores = base.stock.compute_transition_scores(stock.sequences, stock.logits, normalize_logits=True)[0]
        written = stock.sequences[0, 1 if base.is_encoder_decoder else ids.shape[1] :].tolist()
        assert rows[:, 0].astype(int).tolist() == written
        assert rows[:, 1] == pytest.approx(scores.numpy(), abs=5e-4)  # one step at a time against all at once


@pytest.mark.parametrize("manner", [{}, {"beams": 3}, {"sample": True, "temperature": 1.5, "top_p": 0.9}, {"stop": ("e", "业")}], ids=str)
def test_what_is_written_for_a_text_does_not_depend_on_its_neighbours(base, manner):
    windows, generator = base.windows(SOME), base.generator(**manner)
    together = generator.compute(windows)
    assert len({tuple(rows[:, 0]) for rows in together}) > len(windows) // 3
    for window, rows in list(zip(windows, together))[::3]:
        [alone] = generator.compute([window])
        assert alone[:, 0].tolist() == rows[:, 0].tolist()
        assert alone[:, 1] == pytest.approx(rows[:, 1], rel=1e-3, abs=1e-3)


def test_beams_find_likelier_texts(base):
    windows = base.windows(SOME)
    greedy, beams = (base.generator(beams=n).compute(windows) for n in (1, 5))
    gains = [rows[:, 1].mean() - plain[:, 1].mean() for plain, rows in zip(greedy, beams)]
    assert max(gains) > 1e-3 and np.mean(gains) > 0


def test_a_draw_depends_on_the_seed_and_the_text(base):
    windows = base.windows(SOME)
    first, again, other = (base.generator(sample=True, seed=seed).compute(windows) for seed in (1, 1, 2))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
    assert sum(rows[:, 0].tolist() != drawn[:, 0].tolist() for rows, drawn in zip(first, other)) > len(windows) // 2


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([0.0, 1.0, -torch.inf, 2.0, -1.0])
    n = 20000
    numbers = np.random.default_rng(0).random((n, 1))
    drawn = _Draw(numbers, 3)(torch.zeros(n, 3, dtype=torch.long), logits.expand(n, -1)).argmax(dim=1)
    shares = np.bincount(drawn, minlength=5) / n
    assert shares == pytest.approx(torch.softmax(logits, 0).numpy(), abs=4 * 0.5 / n**0.5)
    assert shares[2] == 0


def test_the_least_random_number_draws_no_impossible_token():
    drawn = _Draw(np.zeros((1, 1)), 1)(torch.zeros(1, 1, dtype=torch.long), torch.tensor([[-torch.inf, -torch.inf, 1.0, 0.0]]))
    assert drawn.argmax().item() == 2


def test_random_numbers_are_those_of_a_seed_and_a_text():
    one, again, other_text, other_seed = (_numbers(Manner(max_new_tokens=50, seed=seed), ids).tolist() for seed, ids in ((1, [5, 6]), (1, [5, 6]), (1, [6, 5]), (2, [5, 6])))
    assert one == again and not set(one) & set(other_text) and not set(one) & set(other_seed)


def test_a_stop_ends_a_text_and_is_left_out(base):
    windows = base.windows(SOME)
    layouts = KIND.lay_out([Question((text,)) for text in SOME], base.tokenizer, base.reading())
    free = base.generator().compute(windows)
    stop = next(letter for rows in free for letter in base.tokenizer.decode(rows[:, 0].astype(int).tolist()) if letter.isalpha())
    stopped = base.generator(stop=(stop,)).compute(windows)
    head = replace(base.head, settings=base.head.settings | {"stop": [stop]})
    answers = KIND.answer(layouts, stopped, [head], False)
    n_stopped = 0
    for before, rows, answer in zip(free, stopped, answers):
        plain = base.tokenizer.decode(before[:, 0].astype(int).tolist())
        assert answer["reply"]["text"] == plain.split(stop)[0]
        assert np.allclose(before[: len(rows)], rows, atol=1e-4)
        n_stopped += len(rows) < len(before)
    assert n_stopped


def test_a_stop_saves_the_steps_behind_it(bases):
    base = Base(bases["llama"])
    [window] = base.windows(TEXTS[:1])
    letter = base.tokenizer.decode(base.generator().compute([window])[0][:, 0].astype(int).tolist()).strip("\ufffd")[0]
    steps = []
    hook = base.model.register_forward_hook(lambda *_: steps.append(1))
    counts = []
    for stop in ((), (letter,)):
        steps.clear()
        base.generator(stop=stop, max_new_tokens=40).compute([window])
        counts.append(len(steps))
    hook.remove()
    assert counts[0] == 40 + 1 and counts[1] < 16  # one pass more tells the likelihoods


def test_the_score_is_the_perplexity_of_what_was_written(bases):
    base = Base(bases["bart"])
    [layout] = KIND.lay_out([Question((TEXTS[0],))], base.tokenizer, base.reading())
    ids = base.tokenizer.encode(["利润上升"])[0]
    rows = np.array([[i, likelihood] for i, likelihood in zip(ids, np.log([0.5, 0.25, *[0.125] * (len(ids) - 2)]))], np.float32)
    [answer] = KIND.answer([layout], [rows], [base.head], False)
    assert answer == {"reply": {"text": "利润上升", "score": pytest.approx(2 ** ((1 + 2 + 3 * (len(ids) - 2)) / len(ids)), rel=1e-5)}}
    rows[1, 1] = np.nan
    assert KIND.answer([layout], [rows], [base.head], False) == [None]


def test_cutting_at_the_first_stop():
    assert cut_at("one. two; three", ["; ", ". "]) == "one"
    assert cut_at("one", ["x"]) == "one"


# --- gold, and the simple method


@pytest.mark.parametrize("value, gold", [("a b", "a b"), (["a", "b"], ["a", "b"]), ('["a", "b"]', ["a", "b"]), ("[1] see below", "[1] see below"), ("[1]", "[1]"),
                                         ("  ", None), ([], None), (["", " "], None), (None, None), (["a", ""], ["a"])])
def test_gold(value, gold):
    assert KIND.read_gold(value) == gold


@pytest.mark.parametrize("value", [3, True, {"a": 1}, [1], ["a", 2]])
def test_what_is_no_gold(value):
    with pytest.raises(ValueError):
        KIND.read_gold(value)


def test_the_simple_method_says_the_first_sentence():
    texts = ["Mr. Ray left. He was tired.", "利润上升。股价下跌。", "no stop"]
    assert [entry["text"] for entry in KIND.simple([], [Question((text,)) for text in texts])["lead"]] == ["Mr. Ray left.", "利润上升。", "no stop"]


# --- from nothing


def test_a_learnt_vocabulary_gives_every_text_back():
    tokenizer = learn_writing_tokenizer(TEXTS, 500)
    assert tokenizer.to_str() == learn_writing_tokenizer(TEXTS, 500).to_str()
    for text in (*TEXTS, "  Never SEEN: žluťoučký 🚀\n\tκαλημέρα ", "ﬁ①　Ｆｕｌｌ"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode("The bank").ids) < len("The bank")
    assert [tokenizer.id_to_token(i) for i in (tokenizer.encode("a").ids[0], tokenizer.encode("a").ids[-1])] == ["[CLS]", "[SEP]"]


def test_the_network_from_nothing_knows_the_ids_of_its_vocabulary():
    tokenizer = learn_writing_tokenizer(TEXTS, 500)
    config = build_scratch(tokenizer.get_vocab_size(), [Head("reply", "text")], 64).config
    named = {name: tokenizer.id_to_token(getattr(config, f"{name}_token_id")) for name in ("pad", "bos", "eos", "decoder_start")}
    assert named == {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "decoder_start": "[SEP]"}
    assert json.loads(config.to_json_string())["is_encoder_decoder"] is True and set(ENCODER_DECODERS) < set(FAMILIES)
