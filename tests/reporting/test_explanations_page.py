"""The page of explanations: every text as it was written, coloured where its words counted; nothing from a record acts on it."""

import copy
import json
import math
import re

import pytest
from colours import contrast, luminance, read_colours
from explained_news import claimed_records, explain_text, explained_records, faithfulness, long_record
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markup import Markup
from test_page import CONTROL, HOSTILE

from doxa.reporting.explanations.groups import MOST_LABELS
from doxa.reporting.explanations.html import render_explanations
from doxa.reporting.explanations.passages import LONGEST, lay_out, place_units
from doxa.records.reader import Source, read_records


class Page(Markup):
    """The page with its articles: their texts, coloured words, scores, and all they say."""

    COLOURED = re.compile("(?:for|against|look)[123]$")

    def __init__(self, page: str):
        self.articles = []
        super().__init__(page)

    def handle_starttag(self, tag, attributes):
        super().handle_starttag(tag, attributes)
        if tag == "article":
            self.articles.append({"texts": [], "coloured": [], "all": "", "scores": []})
        if (tag, dict(attributes).get("class")) == ("p", "text"):
            self.articles[-1]["texts"].append("")

    def handle_data(self, data):
        super().handle_data(data)
        if "article" not in [tag for tag, _ in self.open]:
            return
        article = self.articles[-1]
        article["all"] += data
        if ("p", "text") in self.open:
            article["texts"][-1] += data
            if self.COLOURED.match(self.open[-1][1]):
                article["coloured"].append((data, self.open[-1][1]))
        elif ("div", "scores") in self.open:
            article["scores"] += data.split()


def read_page(records, **options) -> Page:
    return Page(render_explanations(records, **options))


def article_of(page: Page, id: str) -> dict:
    return next(article for article in page.articles if f"id {id}" in article["all"])


def explained(text: str, *scores: float, **more) -> dict:
    """A record whose space-separated words have these scores."""
    places = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    tokens = [{"text": text[start:end], "start": start, "end": end, "score": score} for (start, end), score in zip(places, scores)]
    entry = {"label": "negative", "score": 0.9, "runner_up": {"label": "neutral", "score": 0.07}, "method": "occlusion", "unit": "word", "tokens": tokens}
    return {"text": text, "explanation": {"sentiment": {**entry, **more}}}


def only(record: dict, **options) -> dict:
    (article,) = read_page([record], **options).articles
    return article


def test_every_text_stands_there_once_and_as_written():
    records = [record for record in explained_records() if record["id"] != "long-1"]
    page = read_page(records, text_pair_field="text_pair", top=100)
    shown = sorted(text for article in page.articles for text in article["texts"])
    wanted = [record[name] for record in records for name in ("text", "text_pair") if name in record]
    assert shown == sorted([*wanted, next(record["text"] for record in records if record["id"] == "m-1")])  # which has two labels


def test_colours_are_for_and_against_and_a_share_of_the_strongest_word():
    article = only(explained("a b c d e f", 1.0, 0.5, 0.2, 0.1, -0.5, -0.9))
    assert article["coloured"] == [("a", "for3"), ("b", "for2"), ("c", "for1"), ("e", "against2"), ("f", "against3")]
    assert "Pushed most for negative: a ×2.72, b ×1.65, c ×1.22. Against it: f ÷2.46, e ÷1.65." in article["all"]


def test_the_same_shares_give_the_same_colours_in_a_louder_text_but_nothing_weak_is_loud():
    assert [style for _, style in only(explained("a b", 30, 15))["coloured"]] == ["for3", "for2"]
    assert [style for _, style in only(explained("a b", 0.19, 0.09))["coloured"]] == ["for2", "for1"]
    assert [style for _, style in only(explained("a b", 0.01, 0.001))["coloured"]] == ["for1"]
    assert only(explained("a b", 0.004, -0.004))["coloured"] == only(explained("a b", 0, 0))["coloured"] == [] and "No word stands out." in only(explained("a b", 0, 0))["all"]


def test_score_runner_up_and_what_is_known_stand_beside_the_label():
    page = read_page(explained_records(), top=100)
    article = article_of(page, "n-014")
    assert article["scores"] == ["negative", "0.71", "runner-up", "neutral", "0.25"]
    assert "mistake: the gold label is neutral" in article["all"] and "doubtful" not in article["all"]
    assert "rule default-event says negative, as the model does: 违约" in article["all"]
    assert "违约 ×8.17" in article["all"]  # one word of two characters: exp(1.2 + 0.9)
    assert "Without its strongest words the score falls by 0.62 (without random words: falls by 0.20)" in article["all"]
    assert "doubtful" in article_of(page, "n-028")["all"] and "gold label: negative" in article_of(page, "n-000")["all"]
    assert "mistake" not in article_of(page, "n-000")["all"] and "gold" not in article_of(page, "n-008")["all"]


def test_a_label_that_was_asked_for_is_told_from_the_model_s_own():
    record = explained("a b", 1, 0, score=0.2, runner_up={"label": "neutral", "score": 0.7})
    article = only(record | {"sentiment": "neutral"})
    assert "the model itself says neutral" in article["all"] and "mistake" not in article["all"]
    assert "mistake: the gold label is negative" in only(record | {"sentiment": "negative"})["all"]


def test_disagreements_come_first_then_labels_by_size_then_doubt():
    page = read_page(explained_records(), top=100)
    order = [page.text.index(words) for words in ("Rule and model disagree 1 Where", "no default .", "negative 16 Doubtful 4", "Sure 12", "positive 10 Doubtful", "neutral 7 1 of them")]
    assert order == sorted(order)
    margins = [float(article["scores"][1]) - float(article["scores"][4]) for article in page.articles[1:17]]
    assert margins[:4] == sorted(margins[:4]) and max(margins[:4]) < 0.2 <= min(margins[4:])
    assert "mistake" in page.articles[5]["all"] and margins[6:] == sorted(margins[6:], reverse=True)  # one sure mistake, then the surest
    assert "1 of them under Rule and model disagree" in page.text and page.text.count("Riverton repaid its bond") == 1


def test_no_more_than_top_are_shown_and_the_others_counted():
    page = read_page(explained_records(), top=4)
    assert "Doubtful 4: the label leads by less than 0.2; the closest first" in page.text
    assert "Not shown: 1 more doubtful. Sure 12:" in page.text and "Not shown: 11 more sure." in page.text
    assert len(page.articles) == 4 + 4 + 4 + 1 + 2 + 3 + 1 + 1  # negative, positive, neutral, disagreeing, topics, ratings, pair, attention
    texts = (explained(f"word{i}", 1.0) for i in range(3000))
    page = read_page(texts, top=2)
    assert len(page.articles) == 2 and "3,000 records" in page.text and "Not shown: 2,998 more sure." in page.text


def test_counts_stand_in_the_contents_and_lead_to_their_groups():
    page = read_page(explained_records())
    assert sorted(set(page.links)) == sorted({link for link in page.links if link[1:] in page.ids}) and len(page.ids) == len(set(page.ids))
    assert "negative 16 4 5 0 3 positive 10 2 3" in page.text  # all, doubtful, mistakes, rule disagrees, weak
    assert "explanations 40 of 39 texts doubtful 8" in page.text and "mistakes 10 of 36 with a gold label" in page.text


@pytest.mark.parametrize("figures, is_weak", [
    ((0.3, 0.1, 0.2, 0.2), False), ((0.2, 0.1, 0.2, 0.2), False), ((0.3, 0.2, 0.2, 0.2), False), ((0.2, 0.2, 0.2, 0.2), True),
    ((0.1, 0.1, 0.2, 0.2), True), ((0.3, 0.3, 0.2, 0.2), True), ((0.3, 0.201, 0.2, 0.2), False), ((0.201, 0.2, 0.2, 0.2), True)])
def test_weak_explanations_are_called_so(figures, is_weak):
    assert ("weak: random words do as well" in only(explained("a", 1, faithfulness=faithfulness(*figures)))["all"]) == is_weak


def test_faithfulness_is_told_in_words():
    article = only(explained("a", 1, faithfulness=faithfulness(-0.1, 0.001, 0.2, 0.2)))
    assert "Without its strongest words the score rises by 0.10" in article["all"] and "from them alone it stays" in article["all"]


def test_attention_is_neither_for_nor_against():
    article = only(explained("a b c", 0.5, 0.3, 0.2, method="attention-rollout"))
    assert article["coloured"] == [("a", "look3"), ("b", "look2"), ("c", "look2")]
    assert "The model looked most at a 50%, b 30%, c 20% (weak evidence of what counted)." in article["all"]
    assert "Attention is weak evidence" in read_page([explained("a", 1.0, method="attention")]).text
    assert "Attention" not in read_page([explained("a", 1.0)]).text


def test_numbers_and_heads_of_many_labels():
    page = read_page(explained_records())
    high, low = article_of(page, "0"), article_of(page, "1")
    assert high["scores"] == ["value", "4.60"] and "gold value: 5, off by 0.4" in high["all"]
    assert "Raised the value most: record +0.45, strong +0.4" in high["all"] and "Lowered it: Loss −0.8" in low["all"]
    credit, merger = (article for article in page.articles if "id m-1" in article["all"])
    assert "gold labels: credit" in credit["all"] and "mistake: not among the gold labels: credit" in merger["all"] and "doubtful" in merger["all"]
    values = [{"text": f"w{i}", "explanation": {"rating": {"score": i, "method": "x", "unit": "word", "tokens": []}}} for i in range(9)]
    page = read_page(values, top=4)
    assert [article["texts"][0] for article in page.articles] == ["w8", "w7", "w1", "w0"] and "Not shown: 5 between them." in page.text


def test_both_texts_of_a_pair_have_their_own_offsets():
    article = article_of(read_page(explained_records(), text_pair_field="text_pair"), "pair-1")
    assert article["texts"] == ["Vela Motors raised its dividend after a strong year.", "The dividend was cut."]
    assert [word for word, _ in article["coloured"]] == ["raised", "strong", "cut"]


def test_a_long_text_is_cut_to_what_counts_and_says_so():
    record = long_record()
    article = only(record)
    (text,) = article["texts"]
    assert len(text) < LONGEST and len(article["coloured"]) == 4
    assert [part.strip() in " ".join(record["text"].split()) for part in " ".join(text.split()).split("…")] == [True] * 4
    assert set(re.findall(r"\w+", text)) <= set(re.findall(r"\w+", record["text"]))  # no word is cut in two
    assert re.search(r"Shortened to \d{3} of 63,041 characters", article["all"])
    assert "downgraded,\nand" in text and "\n\nBy June" in text and "\r" not in text  # its line breaks stay
    assert "The scores miss the whole evidence by 0.2" in article["all"]


@pytest.mark.parametrize("text, coloured", [
    ("up 🚀🚀 down", "🚀🚀"), ("a\r\n\r\nb", "b"), ("cafe\u0301 bar", "cafe\u0301"), ("家族👨‍👩‍👧 好", "👨‍👩‍👧"), ("涨 １２％", "１２％")])
def test_offsets_are_characters(text, coloured):
    start = text.index(coloured)
    record = explained(text)
    record["explanation"]["sentiment"]["tokens"] = [{"text": coloured, "start": start, "end": start + len(coloured), "score": 1.0}]
    article = only(record)
    assert article["coloured"] == [(coloured, "for3")] and article["texts"] == [text.replace("\r\n", "\n")]


def test_parts_of_one_character_count_together_and_spaces_are_not_coloured():
    record = explained("so 🚀 up")
    record["explanation"]["sentiment"]["tokens"] = [{"text": text, "start": start, "end": end, "score": score} for text, start, end, score in (
        (" 🚀", 2, 4, 0.5), ("🚀", 3, 4, 0.5), (" up", 4, 7, 0.2), ("", 7, 7, 3.0))]
    article = only(record)
    assert article["coloured"] == [("🚀", "for3"), ("up", "for1")] and "left out" not in article["all"] and article["texts"] == ["so 🚀 up"]


def test_scores_that_no_longer_fit_the_text_are_left_out_and_it_is_said():
    record = explained("profit rose again", 0.1, 0.9, 0.2)
    record["text"] = "profit fell  again"
    article = only(record)
    assert article["coloured"] == [("profit", "for2")]
    assert "2 of 3 scores have no place in the text" in article["all"] and article["texts"] == ["profit fell  again"]
    del record["text"]
    assert 'The record holds no text under "text".' in only(record)["all"]


SPAN = st.fixed_dictionaries({"text": st.sampled_from(["a", "bc", " ", "\r", "跌"]), "start": st.integers(-2, 12), "end": st.integers(-2, 12),
                              "score": st.floats(-2, 2)})


@settings(max_examples=200, deadline=None)
@given(st.text("ab c\r\n跌\u0301🚀<&", min_size=1, max_size=10), st.lists(SPAN, max_size=6), st.booleans(), st.none() | st.tuples(st.integers(0, 5), st.integers(6, 9)))
@example("a\r\nb", [{"text": "\r", "start": 1, "end": 2, "score": 1.0}, {"text": "a", "start": 0, "end": 1, "score": 1.0}], False, None)
def test_no_offsets_lose_or_double_a_character(text, spans, are_sound, frame):
    if are_sound:  # the spans hold what they say, and may still lie over one another
        spans = [span | {"text": text[span["start"] : span["end"]]} for span in spans if 0 <= span["start"] <= span["end"]]
    runs, n_shown = lay_out(text, place_units(text, spans)[0], lambda score: "for1" if score else "", frame)
    assert [run for run in runs if run.is_framed] == [] or "".join("".join(piece for piece, _ in run.pieces) for run in runs if run.is_framed).split() == text[slice(*frame)].split()
    pieces = [piece for run in runs for piece in run.pieces]
    assert "".join("".join(piece for piece, _ in pieces).split()) == "".join(text.split()) and n_shown == len(text)


ODD = (None, True, -1, 10**400, 1e308, float("nan"), float("inf"), "", "<b>", [], {}, [None], [{}], {"label": 3}, {"a": {"b": []}})


def _paths(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from _paths(value[key], (*path, key))


def _altered(record: dict):
    for path in _paths(record["explanation"]):
        for odd in (*ODD, "remove"):
            changed = copy.deepcopy(record)
            inner, keys = changed, ("explanation", *path)
            for key in keys[:-1]:
                inner = inner[key]
            if odd == "remove":
                del inner[keys[-1]]
            else:
                inner[keys[-1]] = odd
            yield changed


@pytest.mark.parametrize("number", range(4), ids=("label", "labels", "number", "pair"))
def test_any_altered_value_makes_a_page_and_keeps_the_text(number):
    record = [next(r for r in explained_records() if r["id"] == id) for id in ("n-028", "m-1", 1, "pair-1")][number]
    entry = next(iter(record["explanation"].values()))
    for part in entry.get("labels", [entry]):
        part["tokens"] = part["tokens"][:3]
    records = list(_altered(record))
    assert len(records) > 300
    page = read_page(records, text_pair_field="text_pair", top=10_000)
    assert {article["texts"][0] for article in page.articles} == {record["text"]}
    assert "not of the shape that explain writes" in page.text


@pytest.mark.parametrize("number", range(5), ids=("entities", "answer", "none", "choice", "written"))
def test_any_altered_value_of_a_claim_makes_a_page(number):
    record = claimed_records()[number]
    entry = next(iter(record["explanation"].values()))
    for part in entry.get("entities", [entry]):
        part["tokens"] = part["tokens"][:3]
    page = read_page(list(_altered(record)), top=10_000)
    assert page.articles and "not of the shape that explain writes" in page.text


def test_what_a_claim_says_stands_beside_its_label_and_is_framed_in_its_text():
    page = read_page(claimed_records())
    place, name, answer, none, choice, written = page.articles
    words = [" ".join(article["all"].split()) for article in page.articles]
    assert place["texts"] == name["texts"] == ["杭州Northbank cuts jobs"]
    assert page.text.count("framed: what the model says") == 1
    assert '<span class="said"><span class="for3">杭</span><span class="for3">州</span></span>' in page.source
    assert '<span class="said"><span class="for3">Northbank</span></span>' in page.source and '<span class="said">Northbank</span>' in page.source
    assert re.search('<p class="text"[^>]*><span class="said"><span class="for[123]">a</span> <span class="for[123]">loss</span></span></p>|<span class="said">a <span class="for3">loss</span></span>', page.source)
    assert "LOC 0.97 杭州" in words[0] and "ORG 0.52 Northbank doubtful" in words[1] and "answer 0.88 Northbank" in words[2]
    assert answer["texts"] == none["texts"] == ["Who cuts jobs?", "Jobs are to go, says Northbank."] and "no answer 0.60" in words[3]
    assert choice["texts"] == ["Northbank has", "a gain", "a loss"] and "choice 0.70 a loss" in words[4]
    assert "perplexity 4.50 jobs go" in words[5] and "Pushed most for what was written: Jobs ×7.39" in words[5]
    assert "Without its strongest words the evidence falls by 2.10" in words[0] and "the log-likelihood falls" in words[5]


def test_a_frame_is_the_claim_alone_whatever_the_units_are():
    record = claimed_records()[1]
    entry, context = record["explanation"]["who"], record["context"]
    entry["tokens"] = [{"text": context, "start": 0, "end": len(context), "score": 1.0, "field": "context"}]
    page = read_page([record])
    assert '<span class="for3">Jobs are to go, says </span><span class="said"><span class="for3">Northbank</span></span><span class="for3">.</span>' in page.source
    record["context"] = long = "far away. " * 400 + context
    entry["answer"] |= {"start": len(long) - 10, "end": len(long) - 1}
    entry["tokens"] = [{"text": "far", "start": 0, "end": 3, "score": 0.0, "field": "context"}]
    assert '<span class="said">Northbank</span>' in read_page([record]).source


def test_gold_stands_beside_a_claim():
    entities, answer, none, choice, _ = claimed_records()
    entities |= {"names": ["B-LOC", "B-PER", "O", "O"]}
    answer |= {"who": [{"text": "the Northbank!", "start": 0}]}
    none |= {"who": [{"text": "Northbank", "start": 21}]}
    choice |= {"right": "a loss"}
    words = [" ".join(article["all"].split()) for article in read_page([entities, answer, none, choice]).articles]
    by = {next(name for name in ("LOC", "ORG", "answer", "no answer", "choice") if text.startswith(name + " ")): text for text in words}
    assert "gold says: 杭州 (LOC)" in by["LOC"] and "mistake: gold says Northbank (PER)" in by["ORG"]
    assert "gold says: the Northbank!" in by["answer"] and "mistake: gold says Northbank" in by["no answer"] and "gold says: a loss" in by["choice"]
    assert "mistakes 2 of 5 with a gold label" in read_page([entities, answer, none, choice]).text
    assert "mistake: gold says no entity" in " ".join(only_of(entities | {"names": ["O"] * 4}))


def only_of(record: dict) -> list[str]:
    return [" ".join(article["all"].split()) for article in read_page([record]).articles]


def test_a_label_of_many_is_judged_by_its_own_threshold():
    record = explained("rates fall", 1.0, 0.5)
    entry = record["explanation"].pop("sentiment")
    part = {"label": "policy", "score": 0.27, "threshold": 0.21} | {key: entry[key] for key in ("method", "unit", "tokens")}
    record |= {"topics": ["trade"], "explanation": {"topics": {"labels": [part]}}}
    assert "mistake: not among the gold labels: trade" in " ".join(only_of(record)) and "doubtful" in " ".join(only_of(record))
    assert "Not said" not in " ".join(only_of(record))
    part |= {"score": 0.6}
    assert "doubtful" not in " ".join(only_of(record))
    part |= {"score": 0.2}
    assert "Not said: the score is below the label's threshold, 0.21." in " ".join(only_of(record))


def test_a_claim_that_leads_by_little_or_not_at_all_is_doubtful():
    for score, is_doubtful in ((0.003, True), (0.55, True), (0.65, False)):
        record = claimed_records()[3]
        record["explanation"]["right"]["score"] = score
        assert ("doubtful" in " ".join(only_of(record))) == is_doubtful


def test_texts_of_which_nothing_is_said_are_counted():
    record = {"id": "k", "text": "none", "explanation": {"names": {"entities": []}}}
    page = read_page([record])
    assert "says nothing that could be explained of 1 text." in page.text and "1 record, 1 with explanations" in page.text


def test_a_text_that_does_not_hold_what_a_claim_says_gets_no_frame():
    record = claimed_records()[1]
    frames = 'said">'
    assert frames in read_page([record]).source.split("</nav>")[1]
    record["explanation"]["who"]["answer"] |= {"start": 0, "end": 9}
    assert frames not in read_page([record]).source.split("</nav>")[1]


def hostile_records() -> list[dict]:
    records = []
    for text in HOSTILE:
        record = explained(text + " words")
        entry = record["explanation"].pop("sentiment") | {"label": text, "runner_up": {"label": text + "2", "score": 0.05}, "method": text, "unit": text}
        entry["tokens"] = [{"text": text, "start": 0, "end": len(text), "score": 1.0}, {"text": "words", "start": len(text) + 1, "end": len(text) + 6, "score": -0.6}]
        entry["rules"] = [{"name": text, "label": text, "agrees": False, "matches": [{"text": text, "start": 0, "end": len(text)}]}]
        claim = {"start": 0, "end": len(text), "label": text, "score": 0.9, "text": text} | {key: entry[key] for key in ("method", "unit", "tokens")}
        records.append(record | {"id": text, text: text + "3", "explanation": {text: entry, text + "4": {"entities": [claim]}}})
    return records


def test_hostile_texts_stay_texts():
    page = read_page(hostile_records(), title=HOSTILE[1], signature=HOSTILE[0], top=100)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links) and not any("evil" in id or "alert" in id for id in page.ids)
    assert len(page.articles) == 2 * len(HOSTILE) and page.text.count("<script>alert(1)</script> words") == 2
    assert not CONTROL.search(page.source.replace("\n", ""))
    assert "\\x1b[31mred" in page.text and "a\\u202eevil" in page.text
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in page.source


def test_records_come_as_the_reader_gives_them_and_what_holds_no_explanation_is_counted(tmp_path):
    lines = [json.dumps(record) for record in explained_records()[:3]]
    lines += ["not json", json.dumps({"text": "x", "error": {"code": "too_long", "message": "m"}}), json.dumps({"text": "plain"}),
              json.dumps({"text": "x", "explanation": {"sentiment": 3}})]
    path = tmp_path / "explained.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    page = read_page(read_records(Source((str(path),))))
    assert len(page.articles) == 3 and "7 records, 4 with explanations" in page.text
    assert "for an error that they carry: 2 records" in page.text and "Without an explanation: 1 record;" in page.text and "that explain writes: 1 explanation." in page.text
    assert "nothing to show" in read_page([]).text


def test_a_flood_of_labels_makes_no_flood_of_groups():
    records = [explained(f"w{i}", 1.0, label=f"label {i}") for i in range(MOST_LABELS + 30)]
    page = read_page(records)
    assert len(page.articles) == MOST_LABELS and "Not shown: 30 smaller labels." in page.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_shades_in_grey(scheme):
    assert math.isclose(contrast("#000000", "#ffffff"), 21) and round(contrast("#999999", "#ffffff"), 2) == 2.85
    colours = read_colours(render_explanations([]), scheme)
    for side in ("for", "against", "look"):
        shades = [colours[f"{side}{step}"] for step in (1, 2, 3)]
        assert all(contrast(colours["on"], shade) >= 4.5 for shade in shades)
        assert all(contrast(colours[side], shade) >= 3 for shade in shades)  # the line, which is no text
        lights = [luminance(shade) for shade in shades]
        assert lights == sorted(lights, reverse=scheme == "light") and all(contrast(*pair) > 1.15 for pair in zip(shades, shades[1:]))
    for ground in ("card", "paper"):
        assert all(contrast(colours[ink], colours[ground]) >= 4.5 for ink in ("ink", "soft", "accent", "for"))


def test_a_word_pushes_the_same_way_wherever_it_stands():
    article = only(explained("Loss after loss , no loss", 1.0, 0.0, 0.5, 0.0, 0.0, -0.7))
    assert "negative: Loss (2 times) ×4.48. Against it: loss ÷2.01." in article["all"]
    assert explain_text("a", "negative")[0]["text"] == "a"
