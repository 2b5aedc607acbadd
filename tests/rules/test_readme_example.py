"""The README's file of rules does what its comments say."""

from textwrap import dedent

from doxa.rules.format import parse_rules
from doxa.rules.match import RuleBook
from shell import ROOT


def test_the_example_fires_as_told():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index("    [words]")
    book = RuleBook(parse_rules(dedent(text[start : text.index("\n| key | meaning", start)]).encode(), "README.md"))
    fires = {"fell by 12.5 %": "steep-fall", "下跌百分之六": "steep-fall", "跌幅达8个百分点": "steep-fall", "fell by 4 %": None, "it defaulted": "default-event",
             "did not default": None, "没有违约": None, "公司违约": "default-event", "the default settings": None, "BaFin fined it": "sanction", "It was fined": None}
    assert {sentence: next((firing.rule.name for firing in book.find(sentence)), None) for sentence in fires} == fires
