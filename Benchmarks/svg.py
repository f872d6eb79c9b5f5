"""Small plots as SVG, without a library: panels of one curve each."""

import dataclasses
import html
import math

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 46


@dataclasses.dataclass
class Panel:
    title: str
    x_label: str
    points: list
    log: bool = True    # x doubles from one tick to the next
    log_y: bool = False

    def draw(self, left, top):
        xs, ys = [p[0] for p in self.points], [p[1] for p in self.points]
        x_of = scale(min(xs), max(xs), self.log, left + LEFT, left + WIDTH - RIGHT)
        low = min(ys) / 1.3 if self.log_y else 0
        y_of = scale(low, max(ys) * 1.1, self.log_y, top + HEIGHT - BOTTOM, top + TOP)
        out = [text(left + LEFT, top + 22, self.title, size=14, weight=600)]
        bottom = top + HEIGHT - BOTTOM
        for y in ticks(low, max(ys) * 1.1, self.log_y):
            out.append(line(left + LEFT, y_of(y), left + WIDTH - RIGHT, y_of(y), "#e5e7eb"))
            out.append(text(left + LEFT - 6, y_of(y) + 4, number(y), anchor="end"))
        for x in (xs if self.log else ticks(min(xs), max(xs), False)):
            out.append(text(x_of(x), bottom + 18, number(x), anchor="middle"))
        out.append(line(left + LEFT, bottom, left + WIDTH - RIGHT, bottom, "#6b7280"))
        out.append(text(left + (LEFT + WIDTH - RIGHT) / 2, bottom + 36, self.x_label, anchor="middle"))
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in self.points)
        out.append(f'<polyline points="{path}" fill="none" stroke="#2563eb" stroke-width="2"/>')
        out += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="#2563eb"/>' for x, y in self.points]
        return out


def scale(low, high, log, begin, end):
    if high <= low:
        high = low + 1
    at = math.log if log else (lambda v: v)
    return lambda v: begin + (end - begin) * (at(v) - at(low)) / (at(high) - at(low))


def ticks(low, high, log):
    if log:
        return [m * 10.0**e for e in range(-3, 7) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if (high - low) / s <= 6)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def number(v):
    return f"{v:.0f}" if v >= 100 or v == round(v) else f"{v:.3g}"


def text(x, y, content, anchor="start", size=12, weight=400):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">'
            f"{html.escape(content)}</text>")


def line(x1, y1, x2, y2, color):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def document(title, panels):
    """The panels two a row under a title."""
    rows = -(-len(panels) // 2)
    width, height = 2 * WIDTH, rows * HEIGHT + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="system-ui, Helvetica, Arial, sans-serif" fill="#374151">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>', text(20, 28, title, size=17, weight=600)]
    for i, panel in enumerate(panels):
        out += panel.draw(i % 2 * WIDTH, 40 + i // 2 * HEIGHT)
    return "\n".join([*out, "</svg>", ""])
