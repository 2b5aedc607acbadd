"""Near-duplicates, held against sets of shingles."""

import re

from hypothesis import given
from hypothesis import strategies as st

from doxa.monitoring.likeness import Likeness

WORDS = st.sampled_from("bank Bank lender fails 12 违约 鹰扬银行 宣布 @a https://t.co/x ! é 🙂 \ud800 ".split(" ") + ["", "\n"])


def naive(text):
    plain = re.sub(r"(?:https?://\S+|@\w+|[\W\d_])+", " ", text.casefold()).strip() or text
    size = 3 if 2 * len(re.findall("[\u3040-\u30ff\u3400-\u9fff]", plain)) > len(plain) else 5
    return {plain[i : i + size] for i in range(max(1, len(plain) - size + 1))}


@given(st.lists(st.lists(WORDS, max_size=9).map(" ".join), min_size=1, max_size=12))
def test_near_texts_share_at_least_three_fifths_of_their_shingles(texts):
    likeness, sets = Likeness(texts), [naive(text) for text in texts]
    for i, one in enumerate(sets):
        assert likeness.near(i).tolist() == [len(one & other) >= 0.6 * len(one | other) for other in sets]


def test_links_handles_digits_and_case_make_no_difference_and_signs_alone_do():
    assert Likeness(["RT: @a Bank 12 FAILS https://t.co/x", "rt @bee bank fails!", "rt bank gains"]).near(0).tolist() == [True, True, False]
    assert Likeness(["!!!", "???"]).near(0).tolist() == [True, False]


def test_chinese_is_compared_by_three_characters():
    assert Likeness(["鹰扬银行违约", "鹰扬银行违约了", "银行没有违约鹰扬"]).near(0).tolist() == [True, True, False]


def test_nothing_is_like_no_texts():
    assert Likeness([]).n_texts == 0
    assert Likeness(["", "", "bank"]).near(0).tolist() == [True, True, False]
