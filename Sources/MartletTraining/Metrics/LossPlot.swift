/// A chart of losses against steps, as SVG.
public struct LossPlot: Sendable {
    /// A curve.
    public struct Series: Sendable {
        public enum Style: Sendable {
            /// Many noisy values: drawn faintly, with a smoothed line over them.
            case noisy
            /// Few values: drawn as a line with a dot at each.
            case dots
        }

        public let name: String
        public let style: Style
        public let points: [(step: Int, value: Double)]

        public init(name: String, style: Style, points: [(step: Int, value: Double)]) {
            self.name = name
            self.style = style
            self.points = points
        }
    }

    public let title: String
    public let series: [Series]
    public let yLabel: String

    public init(title: String, yLabel: String = "loss (nats per token)", series: [Series]) {
        self.title = title
        self.yLabel = yLabel
        self.series = series
    }

    /// The plot of a run's records: `loss` and `validationLoss`. Where a run went back, its last course is drawn.
    public init(title: String, records: [MetricsRecord]) {
        func points(_ name: String) -> [(step: Int, value: Double)] {
            var points: [(step: Int, value: Double)] = []
            for record in records {
                guard let value = record[name]?.double else { continue }
                while let last = points.last, last.step >= record.step { points.removeLast() }
                points.append((record.step, value))
            }
            return points
        }
        self.init(
            title: title,
            series: [
                Series(name: "training", style: .noisy, points: points("loss")),
                Series(name: "validation", style: .dots, points: points("validationLoss")),
            ])
    }

    private static let colors = ["#2563eb", "#dc2626", "#059669", "#d97706"]
    private static let width = 800.0
    private static let height = 480.0
    private static let left = 72.0
    private static let right = 24.0
    private static let top = 56.0
    private static let bottom = 56.0

    /// The chart as an SVG document of 800 × 480 on white.
    public func svg() -> String {
        let drawn = series.map { series in
            (series: series, points: series.points.filter { $0.value.isFinite })
        }
        let all = drawn.flatMap(\.points)
        let xTicks = Ticks(from: 0, to: Double(all.map(\.step).max() ?? 1), count: 8, integral: true)
        let yTicks = Ticks(from: all.map(\.value).min() ?? 0, to: all.map(\.value).max() ?? 1, count: 7)
        let xEnd = max(Double(all.map(\.step).max() ?? 1), 1)
        func x(_ step: Double) -> Double { Self.left + (Self.width - Self.left - Self.right) * step / xEnd }
        func y(_ value: Double) -> Double {
            let share = (value - yTicks.low) / (yTicks.high - yTicks.low)
            return Self.height - Self.bottom - (Self.height - Self.top - Self.bottom) * share
        }

        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 480" width="800" height="480" \
            font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="#374151">
            <rect width="800" height="480" fill="#ffffff"/>
            <text x="\(number(Self.left))" y="30" font-size="17" font-weight="600" fill="#111827">\(escaped(title))</text>

            """
        let floor = Self.height - Self.bottom
        svg += "<g stroke=\"#e5e7eb\" stroke-width=\"1\">\n"
        for tick in yTicks.values {
            svg += line(x1: Self.left, y1: y(tick), x2: Self.width - Self.right, y2: y(tick))
        }
        svg += "</g>\n<g text-anchor=\"end\">\n"
        for tick in yTicks.values { svg += text(yTicks.label(tick), x: Self.left - 10, y: y(tick) + 4.5) }
        svg += "</g>\n<g text-anchor=\"middle\">\n"
        for tick in xTicks.values where tick <= xEnd { svg += text(xTicks.label(tick), x: x(tick), y: floor + 20) }
        svg += text("step", x: (Self.left + Self.width - Self.right) / 2, y: Self.height - 14)
        let middle = number((Self.top + floor) / 2)
        svg += "<text transform=\"translate(20 \(middle)) rotate(-90)\">\(escaped(yLabel))</text>\n</g>\n"
        svg += "<g stroke=\"#6b7280\" stroke-width=\"1\">\n"
        svg += line(x1: Self.left, y1: floor, x2: Self.width - Self.right, y2: floor)
        for tick in xTicks.values where tick <= xEnd {
            svg += line(x1: x(tick), y1: floor, x2: x(tick), y2: floor + 5)
        }
        svg += "</g>\n"

        for (index, curve) in drawn.enumerated() where !curve.points.isEmpty {
            let color = Self.colors[index % Self.colors.count]
            let open = "<g fill=\"none\" stroke=\"\(color)\" stroke-linejoin=\"round\" stroke-linecap=\"round\">\n"
            svg += open
            switch curve.series.style {
            case .noisy:
                let raw = thinned(curve.points)
                svg += path(raw.map { (x(Double($0.step)), y($0.value)) }, width: 1, opacity: 0.3)
                svg += path(thinned(smoothed(curve.points)).map { (x(Double($0.step)), y($0.value)) }, width: 2)
            case .dots:
                let places = curve.points.map { (x(Double($0.step)), y($0.value)) }
                svg += path(places, width: 2)
                if places.count <= 60 {
                    for place in places {
                        svg +=
                            "<circle cx=\"\(number(place.0))\" cy=\"\(number(place.1))\" r=\"3\" fill=\"\(color)\" stroke=\"none\"/>\n"
                    }
                }
            }
            svg += "</g>\n"
        }
        svg += legend(drawn.map { ($0.series, $0.points.last) })
        if all.isEmpty {
            svg +=
                "<text x=\"\(number((Self.left + Self.width - Self.right) / 2))\" y=\"\(middle)\" text-anchor=\"middle\">"
                + "nothing measured yet</text>\n"
        }
        return svg + "</svg>\n"
    }

    private func legend(_ entries: [(series: Series, last: (step: Int, value: Double)?)]) -> String {
        let shown = entries.enumerated().filter { $0.element.last != nil }
        guard !shown.isEmpty else { return "" }
        let labels = shown.map { index, entry in
            (index: index, text: "\(entry.series.name): \(Format.fixed(entry.last!.value, 3))")
        }
        // Text widths are unknown without a font; 7.2 units a character is wide enough for the usual ones.
        let boxWidth = Double(labels.map(\.text.count).max()!) * 7.2 + 50
        let boxX = Self.width - Self.right - boxWidth - 8
        var svg = "<rect x=\"\(number(boxX))\" y=\"\(number(Self.top + 6))\" width=\"\(number(boxWidth))\" "
        svg +=
            "height=\"\(labels.count * 22 + 8)\" rx=\"4\" fill=\"#ffffff\" fill-opacity=\"0.9\" stroke=\"#e5e7eb\"/>\n"
        for (row, label) in labels.enumerated() {
            let y = Self.top + 21 + Double(row) * 22
            let color = Self.colors[label.index % Self.colors.count]
            svg +=
                "<line x1=\"\(number(boxX + 10))\" y1=\"\(number(y))\" x2=\"\(number(boxX + 32))\" y2=\"\(number(y))\" "
            svg += "stroke=\"\(color)\" stroke-width=\"2.5\"/>\n"
            svg += text(label.text, x: boxX + 40, y: y + 4.5)
        }
        return svg
    }

    // MARK: Curves

    /// The mean of the values around each, over a fiftieth of the curve: a centred window lags behind nothing.
    private func smoothed(_ points: [(step: Int, value: Double)]) -> [(step: Int, value: Double)] {
        let reach = max(1, points.count / 100)
        var sums = [0.0]
        for point in points { sums.append(sums[sums.count - 1] + point.value) }
        return points.indices.map { index in
            // The window shrinks towards the ends, so that the first and last values stay where they are.
            let near = min(reach, index, points.count - 1 - index)
            let range = (index - near)..<(index + near + 1)
            return (points[index].step, (sums[range.upperBound] - sums[range.lowerBound]) / Double(range.count))
        }
    }

    /// At most about 1,400 points: the lowest and the highest of each piece, in their order, so that no spike is lost.
    private func thinned(_ points: [(step: Int, value: Double)]) -> [(step: Int, value: Double)] {
        let pieces = 700
        guard points.count > 2 * pieces else { return points }
        var thinned: [(step: Int, value: Double)] = []
        for piece in 0..<pieces {
            let range = piece * points.count / pieces..<(piece + 1) * points.count / pieces
            let low = range.min { points[$0].value < points[$1].value }!
            let high = range.max { points[$0].value < points[$1].value }!
            for index in Set([low, high]).sorted() { thinned.append(points[index]) }
        }
        return thinned
    }

    // MARK: SVG

    private func path(_ places: [(Double, Double)], width: Double, opacity: Double = 1) -> String {
        let commands = places.enumerated().map { "\($0 == 0 ? "M" : "L")\(number($1.0)) \(number($1.1))" }.joined()
        let faint = opacity < 1 ? " stroke-opacity=\"\(opacity)\"" : ""
        return "<path d=\"\(commands)\" stroke-width=\"\(number(width))\"\(faint)/>\n"
    }

    private func line(x1: Double, y1: Double, x2: Double, y2: Double) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\"/>\n"
    }

    private func text(_ text: String, x: Double, y: Double) -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\">\(escaped(text))</text>\n"
    }

    private func number(_ value: Double) -> String {
        let text = Format.fixed(value, 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    private func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "&": escaped += "&amp;"
            case "\"": escaped += "&quot;"
            // XML 1.0 knows no other control characters, not even as references.
            case _ where scalar.value < 0x20 && scalar != "\t" && scalar != "\n" && scalar != "\r": continue
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// Round numbers along an axis: steps of 1, 2 or 5 times a power of ten.
struct Ticks {
    let low: Double
    let high: Double
    let values: [Double]
    private let decimals: Int

    /// - Parameters:
    ///   - count: About how many ticks there shall be.
    ///   - integral: Whether only whole numbers will do.
    init(from low: Double, to high: Double, count: Int, integral: Bool = false) {
        var low = low
        var high = high
        if high - low < max(abs(high), 1) * 1e-9 {
            let margin = integral ? 1 : max(abs(high) * 0.1, 0.1)
            (low, high) = (integral ? low : low - margin, high + margin)
        }
        let rough = (high - low) / Double(count)
        var power = 1.0
        while power > rough { power /= 10 }
        while power * 10 <= rough { power *= 10 }
        let factor = [1.0, 2, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10
        var interval = factor * power
        if integral { interval = max(1, interval.rounded()) }
        let first = Int((low / interval + 1e-9).rounded(.down))
        let last = Int((high / interval - 1e-9).rounded(.up))
        values = (first...max(first + 1, last)).map { Double($0) * interval }
        self.low = values[0]
        self.high = values[values.count - 1]
        var decimals = 0
        var scaled = interval
        while decimals < 9, abs(scaled - scaled.rounded()) > 1e-6 * scaled {
            scaled *= 10
            decimals += 1
        }
        self.decimals = decimals
    }

    func label(_ value: Double) -> String {
        if decimals == 0 && abs(value) >= 10_000 {
            let text = Format.fixed(value / 1000, 3)
            var trimmed = text[...]
            while trimmed.hasSuffix("0") { trimmed = trimmed.dropLast() }
            if trimmed.hasSuffix(".") { trimmed = trimmed.dropLast() }
            return trimmed + "k"
        }
        return Format.fixed(value, decimals)
    }
}
