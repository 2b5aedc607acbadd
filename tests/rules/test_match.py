"""What rules find in texts: examples in English and Chinese, offsets exact."""

import random
import re
import time

import pytest

from doxa.errors import DoxaError
from doxa.rules.beside import beside
from doxa.rules.format import parse_rules
from doxa.rules.match import MOST_TIMEOUTS, RuleBook
from doxa.rules.numbers import find_numbers, number_pattern
from doxa.rules.words import fold


def book_of(*bodies: str) -> RuleBook:
    """Rules r0, r1, ... for head topic, label credit, with these keys."""
    tables = [f'[rules.r{i}]\nhead = "topic"\nlabel = "credit"\n{body}\n' for i, body in enumerate(bodies)]
    return RuleBook(parse_rules("".join(tables).encode(), "rules.toml"))


def found(text: str, *bodies: str) -> list[list[str]]:
    """For each rule that fires the pieces of the text that it found; each is where its offsets say."""
    firings = book_of(*bodies).find(text)
    for firing in firings:
        assert list(firing.spans) == sorted(set(firing.spans)) and all(0 <= start < end <= len(text) for start, end in firing.spans)
    return [[text[start:end] for start, end in firing.spans] for firing in firings]


@pytest.mark.parametrize("phrase, text, pieces", [
    ("default", "Default, DEFAULT; defaults undefault default", ["Default", "DEFAULT", "default"]),
    ("default*", "The bank defaulted: a default.", ["defaulted", "default"]),
    ("*default", "predefault default defaults", ["predefault", "default"]),
    ("re*ance", "refinance, reinsurance, reliance on reance", ["refinance", "reinsurance", "reliance", "reance"]),
    ("missed payment", "missed payment, missed  payment, missed-payment, missed\r\npayment, missed, payment", ["missed payment", "missed  payment", "missed-payment", "missed\r\npayment"]),
    ("non-performing loan*", "non performing loans; Non-performing LOAN", ["non performing loans", "Non-performing LOAN"]),
    ("S&P 500", "the S&P 500 and the s & p 500", ["S&P 500", "s & p 500"]),
    ("moody's", "Moody’s said, Moody's said, moodys", ["Moody’s", "Moody's"]),
    ("company", "the company's debt, companys", ["company"]),
    ("违约", "该公司已违约,再次违 约。", ["违约", "违 约"]),
    ("A股", "看好Ａ股与a股", ["Ａ股", "a股"]),
    ("5g", "５Ｇ网络, 5G, 15G", ["５Ｇ", "5G"]),
    ("👍", "so 👍 good 👍🏽 not 👎", ["👍"]),
    ("👍*", "so 👍 good 👍🏽 not 👎", ["👍", "👍🏽"]),
    ("café", "caf\u00e9 cafe\u0301 cafe", ["caf\u00e9", "cafe\u0301"]),
    ("cafe\u0301", "caf\u00e9 cafe\u0301 cafe", ["caf\u00e9", "cafe\u0301"]),
    ("default", "👨‍👩‍👧 e\u0301\r\n违约 default", ["default"]),
    ("profit", "利润profit增长", ["profit"]),
    ("ΑΘΗΝΑ", "αθηνα", ["αθηνα"]),
    ("stock", "#stock $stock @stock stock_price", ["stock", "stock", "stock"]),
])
def test_phrases(phrase, text, pieces):
    assert found(text, f'any = ["{phrase}"]') == [pieces]


def test_any_all_none():
    body = 'any = ["loan*", "贷款"]\nall = ["bad", "bank"]\nnone = ["sold"]'
    assert found("The bank has bad loans.", body) == [["bank", "bad", "loans"]]
    for text in ("The bank has loans.", "The bank is bad.", "The bank sold bad loans.", "bad loans"):
        assert found(text, body) == []


NEGATED = [
    ("The firm did not default.", True), ("It doesn’t expect a default.", True), ("It denies any default.", True), ("Not one of them will default", False),
    ("It did not pay. Default followed.", False), ("It did not pay, default followed.", False), ("It is not only a default.", False),
    ("No doubt: default.", False), ("default is not near", False), ("no\r\ndefault", True), ("no\r\n\r\ndefault", False), ("Without U.S. default", True),
    ("公司没有违约。", True), ("公司没有发生大规模违约。", True), ("公司没有发生过大规模违约。", False), ("公司尚未出现实质违约", True), ("没有盈利,违约。", False), ("没有。违约", False), ("公司不断违约", False),
    ("公司不仅违约", False), ("无锡某公司违约", False), ("无人机公司违约", False), ("没想到违约了", False), ("没有避免违约", False), ("不是没有违约", False), ("未能违约", True),
    ("It failed to avoid default.", False), ("Without a doubt default.", False), ("公司否认违约", True), ("不排除违约", False), ("违约没有发生", False),
    ("未能偿付构成违约", False), ("未构成违约", True), ("没有直接导致违约", True), ("不是盈利而是违约", False), ("没有发现导致违约", True), ("不会引发违约", True),
    ("Not profit but default.", False), ("Not paying triggers default.", False), ("It did not directly cause default.", True), ("No sign it causes default", False),
    ("It did not lead to default.", True), ("There is no evidence causing default.", True), ("Not pay and not lead to default", True),
]


@pytest.mark.parametrize("text, is_negated", NEGATED)
def test_negation(text, is_negated):
    bodies = ('any = ["default*", "违约"]\nnegation = true', 'any = ["default*", "违约"]')
    assert len(found(text, *bodies)) == (1 if is_negated else 2)


def test_own_negations_and_their_scope():
    words = 'any = ["default"]\nnegation = ["hardly", "远未"]\n'
    assert found("not a default", words) == [["default"]]
    assert found("hardly a default", words) == []
    assert found("hardly one two default", words) == [] and found("hardly one two three default", words) == [["default"]]
    assert found("hardly a default", words + "negation_scope = 1") == [["default"]]
    assert found("hardly default", words + "negation_scope = 1") == []


@pytest.mark.parametrize("text, is_found", [
    ("Shares fell 5.1%.", True), ("Shares fell 5%.", False), ("Shares fell 1,234.5 percent", True), ("a drop of 12 %: it fell", True), ("12 %? it fell", False),
    ("fell by, as the bank said, as much as 9%", False), ("fell. Up 9%", False), ("fell 600 basis points", True), ("fell 60 basis points", False),
    ("did not fell 9%", False), ("fell 9", False), ("fell 9 pp", True), ("fell in 2024, 3% less", False),
    ("股价下跌百分之六", True), ("股价下跌百分之五", False), ("股价下跌６.５％", True), ("股价下跌了六个百分点", True), ("下跌十二点五个百分点", True), ("下跌30个基点", False),
    ("股价下跌。上涨9%", False), ("没有下跌9%", False),
])
def test_number_near_words(text, is_found):
    body = 'number = { near = ["fell", "下跌"], above = 5, unit = "%" }\nnegation = true'
    assert bool(found(text, body)) == is_found


@pytest.mark.parametrize("unit, bound, text, pieces", [
    ("元", "at_least = 1e8", "罚款1.2亿元,另罚三亿元和5000万元", ["1.2亿元", "三亿元"]),
    ("$", "above = 1e6", "paid $5 million and US$2,000,000 and $900", ["5 million", "2,000,000"]),
    ("days", "at_most = 30", "30 days, 31 days, 30 daystoo", ["30 days"]),
    (None, "below = 0", "from 3 to -2 in 5-10", ["-2"]),
])
def test_units(unit, bound, text, pieces):
    unit = f', unit = "{unit}"' if unit else ""
    assert found(text, f"number = {{ {bound}{unit} }}") == [pieces]


@pytest.mark.parametrize("text, rule, pieces", [
    ("up 4%-6% this year", 'below = 0, unit = "%"', None), ("上涨4%-6%", 'below = 0, unit = "%"', None), ("3亿-5亿元", "below = 0", None),
    ("100元-200元", "below = 0", None), ("5bps-7bps", "below = 0", None), ("1.5 %-2.5 %", 'below = 0, unit = "%"', None),
    ("下跌5元，-3%", 'below = 0, unit = "%"', ["-3%"]), ("利润-3亿元", "below = 0", ["-3亿"]), ("Q3: -4%", 'below = 0, unit = "%"', ["-4%"]),
    ("同比-5%，环比-6%", 'below = 0, unit = "%"', ["-5%", "-6%"]), ("fell 4%-6%", 'above = 5, unit = "%"', ["6%"]), ("3亿-5亿元", "above = 4e8", ["5亿"]),
    ("2024年-3%的增长", 'below = 0, unit = "%"', ["-3%"])])
def test_a_dash_between_two_numbers_of_one_unit_is_no_sign(text, rule, pieces):
    assert found(text, f"number = {{ {rule} }}") == ([] if pieces is None else [pieces])


@pytest.mark.parametrize("text, unit, values", [
    ("up .5%", "%", [0.5]), ("v1.5.2%", "%", []), ("百分之负五", "%", [-5]), ("负5%", "%", [-5]), ("4.5-6%", "%", [4.5, 6]), ("25–50 bps", "%", [0.25, 0.5]), ("6%-2pct", "%", [6, -2]),
    ("净利润三亿五千万元", "元", [3.5e8]), ("1亿2000万元", "元", [1.2e8]), ("3万亿5000亿元", "元", [3.5e12]), ("10万-20万元", "元", [1e5, 2e5]), ("1000-2000万元", "元", [1e7, 2e7]),
    ("615万元-889万元", "万元", [615, 889]), ("615万元-889万元", "元", [6.15e6, 8.89e6]), ("三亿元", "元", [3e8]),
    ("net -$3 billion", "$", [-3e9]), ("$-3 billion", "$", [-3e9]), ("$3-5 billion", "$", [3e9, 5e9]), ("$3bn-$5bn", "$", [3e9, 5e9]), ("(US$3)", "$", [3]),
    ("EUR500 million", "EUR", [5e8]), ("USD 500", "USD", [500]), ("BUSD500", "USD", []), ("3亿-5亿", None, [3e8, 5e8]), ("1万5千", None, [15000]), ("2021-05-06", None, [2021, 5, 6]),
    ("minus five percent", "%", [-5]), ("up by minus 0.5%", "%", [-0.5]), ("negative 3%", "%", [-3]), ("1e6 shares, 2.5E-3", None, [1e6, 2.5e-3]), ("1 000 000 and 15 000", None, [1e6, 15e3]),
    ("2024 300 people, 12 300 more", None, [2024, 300, 12, 300]), ("half a billion", None, [5e8]), ("a million, two and a half million", None, [1e6, 2.5e6]),
    ("half a percent, a percentage point", "%", [0.5, 1]), ("a quarter of a billion", None, []), ("跌了七八成", "%", [70, 80]), ("三至五成", "%", [30, 50]), ("两成到三成半", "%", [20, 35]), ("八七成", "%", []),
])
def test_values(text, unit, values):
    folded = fold(text)
    assert [number.value for number in find_numbers(number_pattern(unit), folded)] == pytest.approx(values)


def test_number_tells_both_places():
    assert found("Shares fell sharply, by 12%.", 'number = { near = ["fell"], above = 5, unit = "%" }') == [["fell", "12%"]]


def test_pattern():
    assert found("see cve-2024-1 and CVE-2025-77", r"pattern = '\bCVE-\d+-\d+'") == [["cve-2024-1", "CVE-2025-77"]]
    assert found("no CVE-2024-1", "pattern = 'CVE-\\d+'\nnegation = true") == []
    assert found("only a default", "any = ['default']\npattern = 'CVE'") == []


def test_a_pattern_cannot_hang_a_text_and_ends_the_work_when_it_always_would(monkeypatch):
    monkeypatch.setattr("doxa.rules.match.PATTERN_S", 0.02)
    book = book_of("pattern = '(a|aa)+b'", 'any = ["aa*"]')
    started_s = time.monotonic()
    for _ in range(MOST_TIMEOUTS - 1):
        assert [firing.rule.name for firing in book.find("a" * 5000)] == ["r1"]
    with pytest.raises(DoxaError, match='rule "r0": its pattern took more than .* make it simpler'):
        book.find("a" * 5000)
    assert time.monotonic() - started_s < 5


@pytest.mark.parametrize("body, text", [
    ('number = { near = ["fell"], above = 1 }', "fell 5 " * 8_000), ('any = ["loss"]\nnegation = true', "not only loss " * 8_000),
    ('any = ["loss"]\nnegation = true', "not , loss " * 8_000), ('any = ["loss"]\nnegation = true', "not a but loss " * 8_000), ('number = { above = 1, unit = "%" }', "二" * 40_000)], ids=("near", "seeming", "negated", "turns", "figures"))
def test_a_long_text_takes_time_by_its_length_alone(body, text):
    book, times = book_of(body), []
    for part in (text[: len(text) // 8], text):
        tries = []
        for _ in range(2):  # the least of them: any one may bear the collection of other tests' garbage
            start = time.process_time()
            book.find(part)
            tries.append(time.process_time() - start)
        times.append(min(tries))
    assert times[1] < 24 * times[0] + 0.1  # 8 times as long; of quadratic time it would be 64


def test_numbers_near_phrases_are_those_that_looking_at_all_pairs_finds():
    """Phrases of one to three words, over each other, beside a reference that only counts words."""
    generator, phrases = random.Random(5), ("x", "x y", "y x y", "y")
    for _ in range(100):
        words = [generator.choice(("x", "y", "z", "7", "0")) for _ in range(12)]
        places = {i: sum(len(word) + 1 for word in words[:i]) for i in range(13)}
        wanted = set()
        for i in (i for i, word in enumerate(words) if word == "7"):
            for phrase in (phrase.split() for phrase in phrases):
                for j in (j for j in range(12) if words[j : j + len(phrase)] == phrase):
                    last = j + len(phrase) - 1
                    if min(abs(i - j), abs(i - last)) <= 2:
                        wanted |= {(places[i], places[i + 1] - 1), (places[j], places[last + 1] - 1)}
        firings = book_of(f'number = {{ near = [{", ".join(map(repr, phrases))}], within = 2, above = 1 }}').find(" ".join(words))
        assert [span for firing in firings for span in firing.spans] == sorted(wanted)


def test_many_phrases_at_once_find_what_each_finds_alone():
    """Against a plain search by regular expressions, on texts of few words so that phrases overlap."""
    generator = random.Random(4)
    words = ["bad", "loan", "loans", "bank", "banks", "dé", "x"]
    phrases = sorted({" ".join(generator.choices(words + ["loan*", "b*d"], k=generator.choice((1, 1, 2, 3)))) for _ in range(40)})
    book = book_of(*(f'any = ["{phrase}"]' for phrase in phrases))
    for _ in range(300):
        text = "".join(generator.choice(words) + generator.choice((" ", "-", "  ", ", ", ". ")) for _ in range(8))
        expected = {}
        for i, phrase in enumerate(phrases):
            pattern = r"(?=\b(" + r"[\s-]+".join(re.escape(word).replace(r"\*", r"\w*") for word in phrase.split()) + r")\b)"
            spans = tuple(match.span(1) for match in re.finditer(pattern, text))
            if spans:
                expected[f"r{i}"] = spans
        assert {firing.rule.name: firing.spans for firing in book.find(text)} == expected


def test_folding_keeps_every_offset():
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x30000)]))
    folded = fold(every)
    assert len(folded) == len(every)
    assert [character.isspace() for character in folded] == [character.isspace() for character in every]


def test_beside_a_prediction():
    raw = b"".join(b'[rules.%s]\nhead = "%s"\nlabel = "%s"\nany = ["default"]\n' % row for row in (
        (b"a", b"topic", b"credit"), (b"b", b"topic", b"merger"), (b"c", b"tags", b"risk"), (b"d", b"other", b"x")))
    book = RuleBook(parse_rules(raw, "rules.toml"))
    prediction = {"topic": {"label": "credit", "score": 0.9}, "tags": {"labels": ["calm"], "scores": {"calm": 0.9}}, "sentiment": {"label": "neutral", "score": 0.5}}
    match = [{"text": "Default", "start": 3, "end": 10}]
    assert beside(book, "👍 Default", prediction) == {"sentiment": [], "topic": [], "tags": []} | {
        "topic": [{"name": "a", "label": "credit", "agrees": True, "matches": [{"text": "Default", "start": 2, "end": 9}]},
                  {"name": "b", "label": "merger", "agrees": False, "matches": [{"text": "Default", "start": 2, "end": 9}]}],
        "tags": [{"name": "c", "label": "risk", "agrees": False, "matches": [{"text": "Default", "start": 2, "end": 9}]}]}
    assert beside(book, "A: Default", {"topic": {"label": "merger", "score": 1.0}})["topic"][1] == {"name": "b", "label": "merger", "agrees": True, "matches": match}
