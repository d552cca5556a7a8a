"""For the API reference: this project's docstrings as Griffe reads docstrings. Nothing of the package is imported.

Three habits of the house are unfolded. Several arguments in one entry of `Args:` (`x, x_hat: images`, or `x: images. n:
how many`) become an entry each; the parts of a method's header (paper, algorithm, deviations) become paragraphs; and an
option of `core.options.option` shows its default, help, unit, source and range.
"""

import ast
import re
import textwrap

import griffe

SECTION = re.compile(r"^( *)(Args|Attributes):\n((?:\1 +.*\n|\n)+)", re.MULTILINE)

HEADER = re.compile(r"\n(Papers?|Algorithm|Deviations): (.)")


class Docstrings(griffe.Extension):
    """Griffe calls this for what it has read: modules, classes, functions, attributes."""

    def on_module(self, *, mod, **kwargs):
        """Sets the parts of a method's header apart."""
        if mod.docstring is not None:
            part = lambda found: f"\n\n**{found.group(1)}.** {found.group(2).upper()}"
            mod.docstring.value = HEADER.sub(part, mod.docstring.value)

    def on_function(self, *, func, **kwargs):
        """Unfolds the arguments of a function."""
        _unfold(func, [parameter.name.lstrip("*") for parameter in func.parameters])

    def on_class(self, *, cls, **kwargs):
        """Unfolds the arguments of a class: those of its `__init__`, or the fields of a dataclass."""
        own = [name for name, member in cls.members.items() if not member.is_alias and member.is_attribute]
        init = cls.members.get("__init__")
        _unfold(cls, [*(p.name.lstrip("*") for p in (init.parameters if init else ())), *own])

    def on_attribute_instance(self, *, attr, **kwargs):
        """Gives a field made by `option` its default as value, and its help as docstring."""
        call = getattr(attr, "value", None)
        if isinstance(call, griffe.ExprCall) and str(call.function) == "option":
            attr.value, text = _option(call, attr.module)
            attr.docstring = griffe.Docstring(text, parent=attr)


def _unfold(item, names):
    """Rewrites the sections of the docstring of `item` to one entry for each of `names` that they have."""
    if item.docstring is None or not names:
        return
    name = "|".join(map(re.escape, names))
    entry = re.compile(rf"(?:^|(?<=\. ))((?:{name})(?:, (?:{name}))*): ")

    def unfolded(found):
        indent, title, body = found.groups()
        lines = []
        for part in re.split(r"\n(?=\S)", textwrap.dedent(body).strip()):
            pieces = entry.split(re.sub(r"\s*\n\s*", " ", part)) if entry.match(part) else []
            for given, text in zip(pieces[1::2], pieces[2::2], strict=True):
                lines += [f"{indent}  {one}: {text.strip()}" for one in given.split(", ")]
            if not pieces:
                lines += [f"{indent}  {line}" for line in part.splitlines()]
        return "\n".join([f"{indent}{title}:", *lines]) + "\n\n"

    item.docstring.value = SECTION.sub(unfolded, item.docstring.value + "\n").rstrip()


def _option(call, module):
    """(default, description) of a call of `core.options.option` in a module."""
    given = {a.name: a.value for a in call.arguments if isinstance(a, griffe.ExprKeyword)}
    default, text = [a for a in call.arguments if not isinstance(a, griffe.ExprKeyword)]
    known = {name: found for name, value in given.items() if (found := _value(value, module)) is not None}
    bounds = {"minimum": "at least", "above": "above", "maximum": "at most"}
    limits = [f"{word} {known[bound]}" for bound, word in bounds.items() if bound in known]
    parts = [_value(text, module).rstrip(".")]
    parts += [f"Unit: {known['unit']}"] if "unit" in known else []
    parts += [", ".join(limits).capitalize()] if limits else []
    parts += ["One of " + ", ".join(f"`{choice}`" for choice in known["choices"])] if "choices" in known else []
    parts += [f"Source: {known['source']}"] if "source" in known else []
    return str(default), ". ".join(parts) + "."


def _value(expression, module):
    """What an expression over literals, and over names that the module gives literals, stands for; None for others."""
    names = {
        name: _literal(member.value) for name, member in module.members.items() if isinstance(member, griffe.Attribute)
    }
    try:
        return eval(str(expression), {"__builtins__": {"tuple": tuple}}, names)
    except NameError:
        return None


def _literal(expression):
    try:
        return ast.literal_eval(str(expression))
    except (ValueError, SyntaxError):
        return None
