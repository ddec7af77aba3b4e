#!/usr/bin/env python3
"""style.py FILE...: sizes and leftovers that no formatter judges. Each message names the remedy.

A file of tables or of generated code says `style: table` in its first five lines, and is not measured.
"""
import ast
import pathlib
import re
import sys

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 120
SOURCE_SUFFIXES = {".swift", ".c", ".h", ".S", ".py", ".sh", ".erl"}
OTHERS_WORK = ("Tests/Conformance/autobahn",)  # converts and drives the published suite; kept as it came
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
SWIFT_FUNCTION = re.compile(r"(?:^|\s)(?:func\s|init[?!]?[(<]|deinit\b|subscript\s*[(<])")
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')


def is_source(path):
    if path.suffix in SOURCE_SUFFIXES:
        return True
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def without_strings(line):
    """The line less its string literals and its comment, so that braces in them do not count."""
    return QUOTED.sub('""', line).split("//")[0]


def swift_functions(lines):
    """(first line, line count) of each function with a body; braces decide where it ends."""
    index = 0
    while index < len(lines):
        line = without_strings(lines[index])
        if SWIFT_FUNCTION.search(line) and not line.lstrip().startswith(("case ", "//", "*")):
            end = end_of_body(lines, index)
            if end is not None:
                yield index + 1, end - index + 1
        index += 1


def end_of_body(lines, start):
    """The line that closes the first brace opened from `start` on; None for a requirement without a body."""
    depth, parentheses, opened, in_text = 0, 0, False, False
    for index in range(start, len(lines)):
        if lines[index].count('"""') % 2:
            in_text = not in_text
            continue
        if in_text:
            continue
        line = without_strings(lines[index])
        if not opened and parentheses == 0 and index > start and re.match(r"\s*(}|func|var|let|init|case|///|$)", line):
            return None
        for character in line:
            parentheses += {"(": 1, ")": -1}.get(character, 0)
            if character == "{" and (opened or parentheses == 0):
                depth, opened = depth + 1, True
            elif character == "}" and opened:
                depth -= 1
            if opened and depth == 0:
                return index
    return None


def column_zero_functions(lines, first, last):
    """Functions that begin with `first` in column 0 and end with `last` there: C and shell."""
    start = None
    for index, line in enumerate(lines):
        if start is None and first.match(line):
            start = index
        elif start is not None and line.rstrip() == last:
            yield start + 1, index - start + 1
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def functions_of(path, text, lines):
    if path.suffix == ".swift":
        return swift_functions(lines)
    if path.suffix in (".c", ".h"):
        return column_zero_functions(lines, re.compile(r"^\w.*\)\s*\{\s*$"), "}")
    if path.suffix == ".py":
        return python_functions(text)
    if path.suffix in ("", ".sh"):
        return column_zero_functions(lines, re.compile(r"^[\w-]+\(\) \{"), "}")
    return []


def problems_of(path):
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    if any("style: table" in line for line in lines[:5]):
        return
    if len(lines) > FILE_LINES_MAX:
        yield 1, f"file of {len(lines)} lines; at most {FILE_LINES_MAX}: move a concept to a file of its own"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"line of {len(line)} columns; at most {COLUMNS_MAX}: break it, or name a part of it"
        found = LEFTOVER.search(line)
        if found:
            yield number, f"leftover {found[0]}: do it now, or file an issue and say in a comment what holds today"
    for number, count in functions_of(path, text, lines):
        if count > FUNCTION_LINES_MAX:
            yield number, f"function of {count} lines; at most {FUNCTION_LINES_MAX}: let it branch, and helpers compute"


def main():
    count = 0
    for name in sys.argv[1:]:
        path = pathlib.Path(name)
        if name.startswith(OTHERS_WORK) or not is_source(path):
            continue
        for number, message in problems_of(path):
            count += 1
            print(f"{name}:{number}: {message}", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
