"""What evaluate's pages for people hold where there is more than they can show."""

import pytest
from judged import lines
from shell import run


@pytest.mark.parametrize("kind", ["terminal", "markdown"])
def test_more_labels_than_a_table_holds_are_counted(kind):
    records = [{"text": "t", "intent": f"i{i % 70:02}", "prediction": {"intent": {"label": f"i{i % 71 % 70:02}"}}} for i in range(140)]
    done = run("evaluate", "--to", kind, stdin=lines(records))
    assert (done.code, done.err) == (0, "")
    told = done.out.decode()
    assert "and 10 more labels" in told and "i59" in told and "i60" not in told.partition("most confused")[0]


@pytest.mark.parametrize("kind", ["terminal", "markdown", "html"])
def test_a_label_without_end_is_cut(kind):
    """To fold a word takes a terminal the square of its length."""
    records = [{"text": "t", "intent": "a" * 300_000, "prediction": {"intent": {"label": said, "score": 0.9}}} for said in ("a" * 300_000, "b")]
    done = run("evaluate", "--to", kind, stdin=lines(records))
    assert done.code == 0 and b"a" * 50 in done.out and len(done.out) < 500_000 and done.seconds < 30


@pytest.mark.parametrize("kind", ["terminal", "html"])
def test_one_record_is_no_plural(kind):
    records = [{"text": "t", "intent": "a", "prediction": {"intent": {"label": "a"}}}, {"text": "t", "prediction": {"intent": {"label": "a"}}}]
    told = run("evaluate", "--to", kind, stdin=lines(records)).out.decode()
    assert "1 record" in told and "1 records" not in told and "1 record is left out, without a gold label" in told
