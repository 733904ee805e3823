"""The look of the reports: one HTML page without anything beside it."""
import html

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
svg text { fill: currentColor; font-size: 13px }
"""


def euros(cents):
    """-1234567 as `-12,345.67`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def table(header, rows):
    """A table; numbers to the right."""
    def cell(tag, value):
        kind = ' class="number"' if value.lstrip("-")[:1].isdigit() else ""
        return f"<{tag}{kind}>{html.escape(value)}</{tag}>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(cell("td", str(value)) for value in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"


def bars(values):
    """A bar per (name, cents), those below zero in another colour."""
    widest = max([abs(cents) for _, cents in values] + [1])
    lines = []
    for place, (name, cents) in enumerate(values):
        width, top = 380 * abs(cents) // widest, 26 * place
        colour = "#c8502d" if cents < 0 else "#4878a8"
        lines.append(f'<text x="120" y="{top + 16}" text-anchor="end">{html.escape(name)}</text>'
                     f'<rect x="130" y="{top + 3}" width="{width}" height="18" fill="{colour}"/>'
                     f'<text x="{136 + width}" y="{top + 16}">{euros(cents)}</text>')
    return f'<svg viewBox="0 0 640 {26 * len(values)}" role="img">\n' + "\n".join(lines) + "\n</svg>\n"


def page(title, *parts):
    """The whole document."""
    name = html.escape(title)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            f"<style>{STYLE}</style></head>\n<body>\n<h1>{name}</h1>\n" + "".join(parts) + "</body></html>\n")
