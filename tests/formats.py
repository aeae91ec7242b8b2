"""Checks of a table in its printed formats, with a parser that is not ours where there is one."""

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from parsec.report.tables.latex import bibtex, citation, latex, layout_of
from parsec.report.tables.markup import html, markdown

GFM = MarkdownIt("commonmark").enable("table")
DELIMITERS = re.compile(r"\|( :?-{3,}:? \|)+")


def check_markdown(table):
    """GitHub shows one table, with every text as it is and no backslash in code."""
    text = markdown(table)
    tokens = GFM.parse(text)
    rules = [line for line in text.splitlines() if re.fullmatch(r"[|:\- ]+", line) and "|" in line]
    assert len(rules) == sum(token.type == "table_open" for token in tokens) == 1
    assert DELIMITERS.fullmatch(rules[0]), rules[0]
    inline = [each for token in tokens for each in token.children or ()]
    assert not [each.content for each in inline if each.type == "code_inline" and "\\" in each.content]
    shown = [cell_text(tokens[i + 1]) for i, token in enumerate(tokens) if token.type in ("th_open", "td_open")]
    assert shown == [text.replace("`", "") for row in printed_rows(table) for text in row]


def cell_text(token):
    """Text of a cell, as a reader sees it."""
    return "".join(
        each.content for each in token.children or () if each.type in ("text", "text_special", "code_inline")
    )


def printed_rows(table):
    """Headings, titles of sections and rows."""
    yield table.headings
    for section in table.sections:
        if section.title:
            yield [section.title, *[""] * (len(table.columns) - 1)]
        yield from section.rows


def check_latex(table):
    """The table may break over pages, its rows have all cells, what it cites is there, and it fits the text block."""
    text = latex(table)
    rows = [
        line for line in text.splitlines() if line.endswith(r"\\") and not line.startswith((r"\multi", r"\caption"))
    ]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(table.columns) - 1}
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert text.isascii(), [c for c in text if not c.isascii()]
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(",")}
    assert cited == set(re.findall(r"^@misc\{(.*),$", bibtex(table), re.MULTILINE))
    layout = layout_of(table, [citation(source) for source in table.sources])
    assert layout.fits
    assert layout.total < 6.5 * 72.27


class Page(HTMLParser):
    """Tags of a page, and addresses that it names."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        if self.tags[-1:] in (["th"], ["td"]):
            self.cells.append(data.strip())


def check_html(table):
    """All rows and cells are in one table of a page that needs no other file."""
    page = Page(html(table))
    assert page.tags.count("table") == 1
    assert page.tags.count("tr") == len(list(printed_rows(table)))
    assert page.links == []
    wanted = {text for row in printed_rows(table) for text in row if text and "`" not in text}
    assert wanted <= set(page.cells)
