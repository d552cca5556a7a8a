"""An HTML page as a tree of what tests ask for, read by the standard library's parser."""

import html.parser

VOID = {"img", "meta", "link", "br"}


class Page(html.parser.HTMLParser):
    """`nodes`: list of `Node` in the order of the page."""

    def __init__(self, text):
        super().__init__()
        self.nodes, self._open = [], []
        self.feed(text)
        assert not self._open, f"never closed: {[node.tag for node in self._open]}"

    def handle_starttag(self, tag, attributes):
        node = Node(tag, dict(attributes), self._open[-1] if self._open else None)
        assert len(node.attributes) == len(attributes), f"{tag} has an attribute twice"
        self.nodes.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag, attributes):
        self.nodes.append(Node(tag, dict(attributes), self._open[-1] if self._open else None))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        for node in self._open:
            node.parts.append(data)

    def all(self, tag, within=None, **attributes):
        """Nodes of a tag, below `within`, with attributes; a class is one of several."""
        found = [node for node in self.nodes if node.tag == tag and (within is None or within in node.ancestors())]
        for name, value in attributes.items():
            name = name.rstrip("_")
            found = [
                n for n in found if value in (n.attributes.get(name, "").split() if name == "class" else [n[name]])
            ]
        return found

    def one(self, tag, within=None, **attributes):
        (found,) = self.all(tag, within, **attributes)
        return found

    def table(self, within):
        """The rows of the one table in a node: lists of texts, the header first."""
        rows = self.all("tr", self.one("table", within))
        return [[node.text for node in self.nodes if node.parent is row] for row in rows]

    def tiles(self, within):
        """The figures of a node that stand as name and value: dict."""
        return {
            self.one("dt", tile).text: self.one("dd", tile).text
            for listed in self.all("dl", within)
            for tile in self.all("div", listed)
        }

    def addresses(self):
        """Everything that the page points to or loads."""
        names = ("src", "href", "srcset", "poster", "action")
        return [node[name] for node in self.nodes for name in names if node[name]]


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.parts = tag, attributes, parent, []

    def __getitem__(self, name):
        return self.attributes.get(name)

    def __repr__(self):
        return f"<{self.tag} {self.attributes}>"

    @property
    def text(self):
        return " ".join("".join(self.parts).split())

    def ancestors(self):
        node = self.parent
        while node:
            yield node
            node = node.parent
