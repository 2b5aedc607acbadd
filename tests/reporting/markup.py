"""A page as a parser reads it."""

import html.parser


class Markup(html.parser.HTMLParser):
    """Tags in balance and from a short list, no attribute that acts; `ids`, `links` and the `text` that is read, of tables their `rows`."""

    TAGS = {"html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "nav", "article", "figure", "h1", "h2", "h3", "h4", "p",
            "div", "span", "strong", "bdi", "ul", "li", "a", "table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "rect", "path", "desc", "code",
            "details", "summary"}
    VOID = {"meta", "rect", "path"}

    def __init__(self, page: str):
        super().__init__()
        self.source, self.open, self.ids, self.links, self.words, self.rows = page, [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == [] and len(self.ids) == len(set(self.ids))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        assert tag in self.TAGS, tag
        attributes = dict(attributes)
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("class") or ""))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if ("style", "") in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & {tag for tag, _ in self.open}:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())
