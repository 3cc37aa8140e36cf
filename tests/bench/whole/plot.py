"""The report as one page of SVG: a bar for each median, a line to its 99th percentile, ratios beside it."""

from html import escape

WIDTH, LEFT, RIGHT, ROW, BAR = 1000, 300, 360, 22, 13
OURS, OTHER, LINE, SOFT, BAD = "#1f6feb", "#9aa4b2", "#24292f", "#57606a", "#cf222e"
IS_OTHER = ("true", "plain", "bwrap", "crun", "runc", "runsc", "firejail", "srt", "cpp", "SDK 1", "SDK 2")


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Page:
    def __init__(self):
        self.parts, self.y = [], 20

    def text(self, x, y, what, size=12, fill=LINE, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
                          f'font-weight="{weight}">{escape(what)}</text>')

    def box(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}" fill="{fill}"/>')

    def line(self, x1, y1, x2, y2, stroke=LINE):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>')

    def paragraph(self, text, size=12, fill=SOFT, columns=150):
        line = ""
        for word in text.split():
            if len(line) + len(word) >= columns:
                self.text(20, self.y, line, size, fill)
                self.y += size + 5
                line = ""
            line += word + " "
        self.text(20, self.y, line.strip(), size, fill)
        self.y += size + 5

    def bars(self, table):
        rows = table["rows"]
        self.y += 16
        self.text(20, self.y, f"{table['title']} ({table['unit']})", 14, weight="bold")
        self.y += 8
        # A tail that is much longer than the bars is cut, with its figure told.
        longest = max(row["p50"] for row in rows.values())
        most = max(min(max(row["p99"] for row in rows.values()), 2.5 * longest), 1e-9)
        scale = (WIDTH - LEFT - RIGHT) / most
        for key, row in rows.items():
            self.row(key, row, scale, most)
            self.y += ROW

    def row(self, key, row, scale, most):
        middle = self.y + ROW / 2
        self.text(LEFT - 8, middle + 4, row["title"], anchor="end")
        self.box(LEFT, middle - BAR / 2, max(row["p50"], 0) * scale, BAR, OTHER if key in IS_OTHER else OURS)
        end = LEFT + min(max(row["p99"], 0), most) * scale
        if row["p99"] > row["p50"] > 0:
            self.line(LEFT + row["p50"] * scale, middle, end, middle)
            tip = 4 if row["p99"] <= most else 2
            self.line(end, middle - tip, end, middle + tip)
        ratios = ", ".join(f"{x:.2f} x {to}" for to, x in row.get("x", {}).items() if to != key)
        tail = f" (p99 {number(row['p99'])})" if row["p99"] > row["p50"] else ""
        self.text(max(end, LEFT + 4) + 8, middle + 4, f"{number(row['p50'])}{tail}", 11, SOFT)
        self.text(WIDTH - 12, middle + 4, ratios, 11, anchor="end", weight="bold")

    def promises(self, judged):
        self.y += 24
        self.text(20, self.y, "promised", 14, weight="bold")
        for one in judged:
            self.y += 18
            value = "" if one["value"] is None else f"{one['value']:.2f} {one['unit']}"
            self.text(20, self.y, one["text"])
            self.text(640, self.y, f"{'at least' if one['at_least'] else 'at most'} {one['limit']:g} {one['unit']}", fill=SOFT)
            self.text(860, self.y, value, anchor="end")
            self.text(880, self.y, one["verdict"], fill=BAD if one["verdict"] == "MISSED" else LINE, weight="bold")

    def whole(self):
        height = self.y + 24
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" '
                'font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def draw(report, machine):
    page = Page()
    page.y = 34
    page.text(20, page.y, "aisbx next to what one would use without", 18, weight="bold")
    page.y += 22
    page.paragraph(machine)
    page.paragraph(f"{report['rounds']} rounds by turns. Bars are medians, lines reach to the 99th percentile. "
                   "Ratios carry from machine to machine, milliseconds do not.")
    for table in report["tables"].values():
        page.bars(table)
    page.promises(report["promises"])
    if report["notes"]:
        page.y += 30
        for note in report["notes"]:
            page.paragraph(f"Note: {note}", 11)
    return page.whole()
