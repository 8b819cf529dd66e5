"""Where the bodies of functions, initialisers and computed properties are in a Swift file: as much of its grammar as
that needs."""

import re

TYPE = re.compile(r"\b(?:struct|class|enum|extension|actor|protocol)\s+\w")
BODY = re.compile(r"\bfunc\b|\binit\s*[?!]?\s*[(<]|\bsubscript\b|\bdeinit\b|\bvar\s+\w+\s*:[^=]*$")
COMMENT = re.compile(r"/\*|\*/")
STRING = re.compile(r'(#*)("""|")')
ACCESSOR = re.compile(r"\s*(?:@\w+\s*|mutating\s+|nonmutating\s+)*(?:get|set|willSet|didSet|_read|_modify)\b")


def bodies(text):
    """The outermost bodies as pairs of offsets: just behind `{`, and of `}`. A body with accessors is none."""
    found = []
    visible = blank(text)
    nesting = []
    border = 0
    for place, sign in enumerate(visible):
        if sign == "{":
            header = visible[border:place]
            inside = bool(nesting) and nesting[-1][1] != "type"
            kind = "other" if inside else "type" if TYPE.search(header) else "body" if BODY.search(header) else "other"
            nesting.append((place, kind))
        elif sign == "}":
            if not nesting:
                raise ValueError("a brace closes that was not opened")
            opened, kind = nesting.pop()
            if kind == "body" and not ACCESSOR.match(visible, opened + 1):
                found.append((opened + 1, place))
        if sign in "{};":
            border = place + 1
    if nesting:
        raise ValueError("a brace is not closed")
    return found


def blank(text):
    """The text with comments and strings blanked out, as long as it was."""
    result = []
    place = 0
    while place < len(text):
        end = end_of_comment(text, place) or end_of_string(text, place)
        if end:
            result.append(re.sub(r"[^\n]", " ", text[place:end]))
            place = end
        else:
            result.append(text[place])
            place += 1
    return "".join(result)


def end_of_comment(text, place):
    if text.startswith("//", place):
        end = text.find("\n", place)
        return len(text) if end < 0 else end
    if not text.startswith("/*", place):
        return None
    depth = 0
    for mark in COMMENT.finditer(text, place):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise ValueError("a comment is not closed")


def end_of_string(text, place):
    """Strings may hold expressions, which may hold strings."""
    opening = STRING.match(text, place)
    if not opening:
        return None
    hashes, quotes = opening.groups()
    place = opening.end()
    while place < len(text):
        if text.startswith(quotes + hashes, place):
            return place + len(quotes + hashes)
        if text.startswith("\\" + hashes + "(", place):
            place = end_of_expression(text, place + len(hashes) + 2)
        elif text.startswith("\\", place) and not hashes:
            place += 2
        else:
            place += 1
    raise ValueError("a string is not closed")


def end_of_expression(text, place):
    depth = 1
    while depth and place < len(text):
        end = end_of_string(text, place)
        if end:
            place = end
            continue
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        place += 1
    return place
