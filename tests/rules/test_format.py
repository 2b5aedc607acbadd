"""The file of rules: what it may say, and one clear line for each mistake."""

import pytest

from doxa.errors import UsageError
from doxa.rules.format import parse_rules, read_rules
from doxa.rules.negation import NEGATIONS, SEEMING
from doxa.rules.phrases import cut_phrase

HEAD = '[rules.r]\nhead = "topic"\nlabel = "credit"\n'
MISTAKES = [
    ("rules", "is not TOML"), ("", "holds no rule"), ("rules = 3", "holds no rule"), ("rule = 3", 'unknown key "rule"; known: first, words, rules'),
    ("[rules.r]\nany = ['a']", 'rule "r" needs a head'), ("[rules.r]\nhead = 'topic'\nany = ['a']", 'rule "r" needs a label'),
    ("[rules]\nr = 1", 'rule "r" must be a table'), (HEAD, 'rule "r" looks for nothing'), (HEAD + "none = ['a']", "looks for nothing"),
    (HEAD + "anny = ['a']", 'unknown key "anny"; known: head, label, any'), (HEAD + "any = 'a'", "any must be a list"), (HEAD + "any = [1]", "any must be a list"),
    (HEAD + "any = ['*']", '"*" has a * of its own'), (HEAD + "any = ['违*']", '"违*" has a * of its own'), (HEAD + "any = [' ']", '" " holds no word'),
    (HEAD + "any = ['@falls']", 'no word list "falls"'), ("[words]\na = ['@b']\nb = ['x']\n" + HEAD + "any = ['@a']", 'words "a": there is no word list "b" before it'),
    ("[words]\na = 'x'\n" + HEAD, 'words "a" must be a list'), ("words = 1\n" + HEAD, "[words] holds lists"),
    (HEAD + "pattern = '('", "no regular expression"), (HEAD + "pattern = 'a*'", "finds the empty text"), (HEAD + "pattern = 1", "pattern must be a text"),
    (HEAD + "number = 5", "number must be a table"), (HEAD + "number = { near = ['a'] }", "needs a bound"), (HEAD + "number = { above = '5' }", "above must be a number"),
    (HEAD + "number = { above = inf }", "above must be a number"), (HEAD + "number = { above = true }", "above must be a number"),
    (HEAD + f"number = {{ above = 1{'0' * 400} }}", "above must be a number"), (HEAD + f"number = {{ above = 1{'0' * 5000} }}", "is not TOML"),
    (HEAD + "number = { above = 5, below = 3 }", "no number is above 5"), (HEAD + "number = { above = 5, over = 3 }", 'unknown key "over"'),
    (HEAD + "number = { above = 5, unit = '' }", "unit must be a text"), (HEAD + "number = { above = 5, within = 2 }", "within goes with near"),
    (HEAD + "number = { above = 5, near = ['a'], within = 0 }", "within must be a whole number"),
    (HEAD + "any = ['a']\nnegation = 'not'", "negation must be true, or a list"), (HEAD + "any = ['a']\nnegation = true\nnegation_scope = 0", "negation_scope must be"),
    (HEAD + "any = ['a']\nnegation_scope = 2", "goes with negation"), (HEAD + "any = ['a']\nfirm = 1", "firm must be true or false"),
    ("[rules.' ']\nhead = 't'", "needs a name"),
]


@pytest.mark.parametrize("text, says", MISTAKES, ids=[says for _, says in MISTAKES])
def test_mistakes(text, says):
    with pytest.raises(UsageError) as caught:
        parse_rules(text.encode(), "my.toml")
    assert says in str(caught.value) and "my.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_lists_are_unfolded_and_what_is_not_said_is_plain():
    [rule] = parse_rules(('[words]\nfalls = ["fell", "下跌"]\nmoves = ["@falls", "rose"]\n' + HEAD + 'any = ["@moves", "fell", "moved"]').encode(), "")
    assert rule.any == ("fell", "下跌", "rose", "moved")
    assert (rule.all, rule.none, rule.pattern, rule.number, rule.negations, rule.is_firm) == ((), (), None, None, (), False)


def test_built_in_negations_are_phrases_that_the_format_takes():
    for phrase in (*NEGATIONS, *SEEMING):
        assert cut_phrase(phrase)
    [rule] = parse_rules((HEAD + "any = ['a']\nnegation = true").encode(), "")
    assert (rule.negations, rule.seeming) == (NEGATIONS, SEEMING)


@pytest.mark.parametrize("raw, says", [(None, "cannot read"), (b"\xff\xfe", "is not UTF-8")])
def test_files_that_cannot_be_read(raw, says, tmp_path):
    path = tmp_path / "rules.toml"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(UsageError, match=says):
        read_rules(str(path))


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert parse_rules(b"\xef\xbb\xbf" + (HEAD + "any = ['a']").encode(), "")[0].any == ("a",)


def test_the_fingerprint_follows_the_bytes(tmp_path):
    prints = set()
    for i, text in enumerate((HEAD + "any = ['a']", HEAD + "any = ['a'] ", HEAD + "any = ['b']")):
        (tmp_path / f"{i}.toml").write_text(text)
        prints.add(read_rules(str(tmp_path / f"{i}.toml")).fingerprint)
    assert len(prints) == 3
