"""Explained records, made by hand: English and Chinese finance texts, heads of every kind, pairs, rules, gold labels, a long text."""

import re
import zlib

PUSHES = {
    "negative": {"cuts": 1.9, "cut": 1.5, "loss": 1.6, "losses": 1.7, "fell": 1.3, "slumped": 1.8, "default": 2.1, "missed": 1.2, "warns": 1.1, "lawsuit": 1.0,
                 "downgraded": 1.9, "weak": 0.9, "rose": -1.2, "record": -0.9, "beat": -1.1, "gains": -1.0, "strong": -0.8, "raised": -0.7,
                 "下": 0.5, "跌": 1.1, "亏": 1.0, "损": 0.9, "违": 1.2, "约": 0.9, "裁": 0.8, "增": -0.8, "涨": -1.1},
    "credit": {"default": 2.4, "loans": 1.3, "downgraded": 1.6, "bond": 1.1, "debt": 1.0, "违": 1.4, "约": 1.2, "债": 1.0, "merger": -1.4, "profit": -0.6},
}
TEXTS = [
    # text, sentiment, score, runner-up, score, gold
    ("Northbank cuts 1,200 jobs after a loss of $340 million in its lending arm.", "negative", 0.97, "neutral", 0.02, "negative"),
    ("Shares of Halden Steel fell 7% as it warns of weak demand in Asia.", "negative", 0.95, "neutral", 0.04, "negative"),
    ("Riverton missed a coupon payment; the bond may default within 30 days.", "negative", 0.93, "neutral", 0.05, "negative"),
    ("Agency: Castor Retail downgraded to B-, outlook stable.", "negative", 0.88, "neutral", 0.11, "negative"),
    ("Orders slumped, yet Vela Motors beat its own forecast and raised the dividend.", "negative", 0.47, "positive", 0.41, "positive"),
    ("Losses narrowed for the third quarter in a row, the company said.", "negative", 0.55, "positive", 0.38, "positive"),
    ("The lawsuit against Pinecrest was dropped without costs.", "negative", 0.52, "neutral", 0.36, "positive"),
    ("Tarn Energy swings to loss; analysts had expected a small profit.", "negative", 0.91, "neutral", 0.06, "negative"),
    ("Margins weak again at Ostro Foods, cost cuts to follow.", "negative", 0.86, "neutral", 0.12, None),
    ("Mill fire stops production for weeks; insurer is looking into it.", "negative", 0.74, "neutral", 0.24, "negative"),
    ("北方银行三季度亏损3.4亿元,并将裁员1200人。", "negative", 0.96, "neutral", 0.03, "negative"),
    ("评级机构下调该公司信用评级,债券价格大跌。", "negative", 0.94, "neutral", 0.05, "negative"),
    ("河东地产未能按期付息,构成违约。", "negative", 0.98, "neutral", 0.01, "negative"),
    ("公司亏损收窄,订单同比增长。", "negative", 0.44, "positive", 0.43, "positive"),
    ("市场担心该公司可能违约,但公司否认。", "negative", 0.71, "neutral", 0.25, "neutral"),
    ("Profit rose 12% on strong demand, a record for the third quarter.", "positive", 0.98, "neutral", 0.01, "positive"),
    ("Vela Motors beat expectations and raised its outlook for the year.", "positive", 0.96, "neutral", 0.03, "positive"),
    ("Gains in cloud revenue lift Sorrel Software to a record close 🚀.", "positive", 0.95, "neutral", 0.04, "positive"),
    ("Halden Steel gains on hopes of a settlement, though demand is weak.", "positive", 0.49, "neutral", 0.33, "neutral"),
    ("Dividend raised by a tenth; the payout stays below that of peers.", "positive", 0.81, "neutral", 0.17, "positive"),
    ("The bank's strong capital lets it buy back shares.", "positive", 0.9, "neutral", 0.08, "positive"),
    ("Great. Another record fine for the bank.", "positive", 0.83, "negative", 0.12, "negative"),
    ("公司前三季度净利润同比增长百分之十二。", "positive", 0.97, "neutral", 0.02, "positive"),
    ("股价涨停,成交额创年内新高。", "positive", 0.93, "neutral", 0.05, "positive"),
    ("两家公司合并后预计每年节省成本2亿元。", "positive", 0.51, "neutral", 0.45, "neutral"),
    ("The annual meeting takes place on 12 May in Lund.", "neutral", 0.99, "positive", 0.01, "neutral"),
    ("Castor Retail names a new head of logistics.", "neutral", 0.97, "positive", 0.02, "neutral"),
    ("The regulator looks at the merger until autumn.", "neutral", 0.9, "negative", 0.07, "neutral"),
    ("Riverton repaid its bond on time, no default.", "neutral", 0.41, "negative", 0.39, "positive"),
    ("Turnover was 4.1 billion, as in the year before.", "neutral", 0.94, "negative", 0.04, "neutral"),
    ("交易金额尚未公布,双方不予置评。", "neutral", 0.96, "negative", 0.03, "neutral"),
    ("董事会将于周五讨论分红方案。", "neutral", 0.95, "positive", 0.04, "neutral"),
]
_WORDS = re.compile(r"[\u3400-\u9fff]|[A-Za-z][\w']*|[\d][\d.,]*\d%?|\d%?|[^\w\s]")


def explain_text(text: str, label: str, scale: float = 1.0, field: str | None = None) -> list[dict]:
    """Units with exact offsets and scores from PUSHES, a little noise elsewhere."""
    tokens, pushes = [], PUSHES.get(label, PUSHES["negative"])
    sign = -1 if label == "positive" else 1
    for match in _WORDS.finditer(text):
        noise = (zlib.crc32(match[0].encode()) % 100 - 50) / 300
        score = round(scale * (sign * pushes[match[0].lower()] if match[0].lower() in pushes else noise), 6)
        tokens.append({"text": match[0], "start": match.start(), "end": match.end(), "score": score} | ({"field": field} if field else {}))
    return tokens


def faithfulness(*figures: float) -> dict:
    return dict(zip(("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency"), figures))


def explained_records() -> list[dict]:
    records = []
    for number, (text, label, score, other, other_score, gold) in enumerate(TEXTS):
        good = faithfulness(0.62, 0.05, 0.2, 0.41) if number % 5 else faithfulness(0.08, 0.3, 0.11, 0.28)
        entry = {"label": label, "score": score, "runner_up": {"label": other, "score": other_score}, "method": "integrated-gradients", "unit": "word",
                 "tokens": explain_text(text, label), "steps": 32, "delta": 0.004, "faithfulness": good}
        place = re.search("default|违约", text)
        if place:
            is_bad = label == "negative"
            entry["rules"] = [{"name": "default-event", "label": "negative", "agrees": is_bad,
                               "matches": [{"text": place[0], "start": place.start(), "end": place.end()}]}]
        records.append({"id": f"n-{number:03d}", "text": text, **({"sentiment": gold} if gold else {}), "explanation": {"sentiment": entry}})
    return records + [_many_labels(), *_numbers(), _pair(), _attention(), long_record()]


def _many_labels() -> dict:
    text = "Riverton bond in default; lenders talk of a merger with Northbank."
    labels = [{"label": label, "score": score, "method": "occlusion", "unit": "word", "tokens": explain_text(text, "credit", scale)}
              for label, score, scale in (("credit", 0.93, 1.0), ("merger", 0.56, -1.0))]
    return {"id": "m-1", "text": text, "topics": ["credit"], "explanation": {"topics": {"labels": labels}}}


def _numbers() -> list[dict]:
    texts = [("Room was clean, staff strong and kind, a record stay.", 4.6, 5), ("Loss of luggage, weak coffee, lawsuit pending.", 1.2, 1),
             ("Service fell short, but the view gains a star.", 2.9, 3)]
    return [{"id": number, "text": text, "rating": gold,
             "explanation": {"rating": {"score": score, "method": "occlusion", "unit": "word", "tokens": explain_text(text, "negative", -0.5)}}}
            for number, (text, score, gold) in enumerate(texts)]


def _pair() -> dict:
    premise, claim = "Vela Motors raised its dividend after a strong year.", "The dividend was cut."
    tokens = explain_text(premise, "positive") + explain_text(claim, "negative", field="text_pair")
    return {"id": "pair-1", "text": premise, "text_pair": claim, "explanation": {"entailment": {
        "label": "contradiction", "score": 0.88, "runner_up": {"label": "neutral", "score": 0.1}, "method": "shapley", "unit": "word", "tokens": tokens}}}


def _attention() -> dict:
    text = "Castor Retail downgraded; the bond fell to 62 cents."
    tokens = [token | {"score": abs(token["score"])} for token in explain_text(text, "credit")]
    return {"id": "a-1", "text": text, "explanation": {"topic": {
        "label": "credit", "score": 0.91, "runner_up": {"label": "earnings", "score": 0.05}, "method": "attention", "unit": "word", "tokens": tokens}}}


def long_record(n_sentences: int = 1500) -> dict:
    """A text of some 10,000 words, with few that count."""
    dull = "The committee then turned to the minutes."
    sentences = [dull] * n_sentences
    sentences[700] = "In May the fund missed a payment and its bond was in default."
    sentences[1200] = "\r\n\r\nBy June the rating was downgraded,\r\nand losses were booked."
    text = " ".join(sentences)
    tokens = [token | {"score": round(token["score"] * (0.1 if token["text"].lower() in PUSHES["negative"] else 0.001), 6)}
              for token in explain_text(text, "negative")]
    return {"id": "long-1", "text": text, "explanation": {"sentiment": {
        "label": "negative", "score": 0.79, "runner_up": {"label": "neutral", "score": 0.2}, "method": "integrated-gradients", "unit": "word",
        "tokens": tokens, "steps": 64, "delta": 0.2}}}


def claimed_records() -> list[dict]:
    """What heads that say entities, answers, choices and texts claim of a record."""
    about = {"method": "occlusion", "unit": "word", "faithfulness": faithfulness(2.1, 0.2, 0.4, 1.7)}

    def tokens(text: str, *strong: str, **more) -> list[dict]:
        return [token | {"score": 2.0 if token["text"] in strong else 0.01} | more for token in explain_text(text, "neutral")]

    text, question, context = "杭州Northbank cuts jobs", "Who cuts jobs?", "Jobs are to go, says Northbank."
    entities = [{"start": 0, "end": 2, "label": "LOC", "score": 0.97, "text": "杭州", "tokens": tokens(text, "杭", "州")} | about,
                {"start": 2, "end": 11, "label": "ORG", "score": 0.52, "text": "Northbank", "tokens": tokens(text, "Northbank")} | about]
    asked = {"question": question, "context": context}
    answer = {"answer": {"text": "Northbank", "start": 21, "end": 30}, "score": 0.88, "tokens": tokens(question, "Who") + tokens(context, "says", field="context")} | about
    none = {"answer": None, "score": 0.6, "tokens": tokens(question, "Who") + tokens(context, field="context")} | about
    chosen = {"index": 1, "text": "a loss", "score": 0.7, "tokens": tokens("Northbank has", "has") + [
        token for i, choice in enumerate(("a gain", "a loss")) for token in tokens(choice, "loss", field="choices", index=i)]} | about
    written = {"text": "jobs go", "score": 4.5, "tokens": tokens(context, "Jobs")} | about
    return [{"id": "entities", "tokens": ["杭州", "Northbank", "cuts", "jobs"], "explanation": {"names": {"entities": entities}}},
            {"id": "answer"} | asked | {"explanation": {"who": answer}}, {"id": "none"} | asked | {"explanation": {"who": none}},
            {"id": "choice", "text": "Northbank has", "choices": ["a gain", "a loss"], "explanation": {"right": chosen}},
            {"id": "written", "text": context, "explanation": {"short": written}}]
