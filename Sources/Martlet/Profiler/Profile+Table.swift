extension Profile {
    /// What the rows of a table are ordered by, largest first.
    public enum Order: String, Sendable, CaseIterable {
        case totalTime
        case selfTime
        case calls
        case bytesAllocated
    }

    /// What becomes one row of a table.
    public enum Grouping: String, Sendable, CaseIterable {
        /// Events of one name; modules are left out.
        case name
        /// Events of one name whose operands have the same shapes and types; modules are left out.
        case shapes
        /// What ran in one module and those inside of it, forward and backward. Calls are the module's; "layers" is a
        /// row although it is no module.
        case module
    }

    /// The sums of some events.
    public struct Row: Sendable {
        /// The name, or the module's path.
        public var name: String
        public var inputs: [Event.Operand]
        public var calls: Int
        /// Seconds; what is inside of another event of the row counts once.
        public var total: Double
        /// Seconds without those of the events inside.
        public var selfTime: Double
        /// Bytes that were asked for, as the total counts.
        public var bytesAllocated: Int
        /// As the total counts.
        public var flops: Double

        init(_ name: String, _ inputs: [Event.Operand]) {
            self.name = name
            self.inputs = inputs
            (calls, total, selfTime, bytesAllocated, flops) = (0, 0, 0, 0, 0)
        }
    }

    /// The sums of events by name, shape or module.
    public func rows(groupedBy grouping: Grouping = .name, sortedBy order: Order = .totalTime) -> [Row] {
        func key(_ row: Row) -> Double {
            switch order {
            case .totalTime: row.total
            case .selfTime: row.selfTime
            case .calls: Double(row.calls)
            case .bytesAllocated: Double(row.bytesAllocated)
            }
        }
        let rows = grouping == .module ? rowsByModule : rowsByName(withShapes: grouping == .shapes)
        return rows.sorted { (key($0), $1.name) > (key($1), $0.name) }
    }

    private func rowsByName(withShapes: Bool) -> [Row] {
        var rows: [Row] = []
        var positions: [String: Int] = [:]
        // Rows of the events that are open, by thread: events come outer ones first.
        var open: [Int: [(depth: Int, row: Int)]] = [:]
        for event in events where event.category != .module {
            let key = withShapes ? "\(event.name) \(event.inputs)" : event.name
            let row: Int
            if let known = positions[key] {
                row = known
            } else {
                row = rows.count
                positions[key] = row
                rows.append(Row(event.name, withShapes ? event.inputs : []))
            }
            var stack = open[event.thread] ?? []
            while let last = stack.last, last.depth >= event.depth { stack.removeLast() }
            let isInside = stack.contains { $0.row == row }
            stack.append((event.depth, row))
            open[event.thread] = stack
            rows[row].calls += 1
            rows[row].selfTime += event.selfDuration
            if isInside { continue }
            rows[row].total += event.duration
            rows[row].bytesAllocated += event.bytesAllocated
            rows[row].flops += event.flops
        }
        return rows
    }

    /// The total of a module is what ran in it and in the modules inside, whose backward passes are not nested as the
    /// forward ones are: paths tell what is inside.
    private var rowsByModule: [Row] {
        var own: [String: Row] = [:]
        for event in events {
            let path = event.category == .module ? event.name : event.modulePath
            var row = own[path] ?? Row(path, [])
            if event.category == .module { row.calls += 1 }
            row.selfTime += event.selfDuration
            row.bytesAllocated += event.selfBytesAllocated
            row.flops += event.selfFLOPs
            own[path] = row
        }
        var rows = own
        for path in own.keys { rows[path]!.total = own[path]!.selfTime }
        for (path, row) in own where !path.isEmpty {
            let names = path.split(separator: ".")
            for length in 1..<names.count {
                let outer = names.prefix(length).joined(separator: ".")
                rows[outer, default: Row(outer, [])].total += row.selfTime
                rows[outer]!.bytesAllocated += row.bytesAllocated
                rows[outer]!.flops += row.flops
            }
        }
        rows[""]?.name = "(no module)"
        return Array(rows.values)
    }

    /// The rows as text: name, calls, milliseconds with and without those of the events inside and their shares of the
    /// profile's duration, microseconds a call, memory asked for, and 10⁹ floating-point operations a second where
    /// known.
    ///
    /// - Parameter limit: the most rows; nil for all.
    public func table(
        sortedBy order: Order = .totalTime, groupedBy grouping: Grouping = .name, limit: Int? = 30
    ) -> String {
        let all = rows(groupedBy: grouping, sortedBy: order)
        let shown = all.prefix(limit ?? all.count)
        var lines: [[String]] = [
            ["name", "calls", "total ms", "total %", "self ms", "self %", "mean us", "allocated", "GFLOP/s"]
        ]
        if grouping == .shapes { lines[0].append("operands") }
        if grouping == .module { lines[0][0] = "module" }
        for row in shown {
            var cells = [
                row.name, "\(row.calls)", fixed(row.total * 1e3, 2), fixed(100 * row.total / duration, 1),
                fixed(row.selfTime * 1e3, 2), fixed(100 * row.selfTime / duration, 1),
                row.calls == 0 ? "" : fixed(row.total * 1e6 / Double(row.calls), 1), bytes(row.bytesAllocated),
                row.flops > 0 && row.total > 0 ? fixed(row.flops / row.total * 1e-9, 1) : "",
            ]
            if grouping == .shapes { cells.append(row.inputs.map(\.description).joined(separator: " ")) }
            lines.append(cells)
        }
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max()! }
        let operations = events.filter { $0.category == .op }
        var text =
            "\(fixed(duration * 1e3, 2)) ms, \(operations.count) ops, "
            + "\(fixed(100 * operations.reduce(0) { $0 + $1.selfDuration } / duration, 1)) % of the time in them\n"
        for cells in lines {
            var line = ""
            for (i, cell) in cells.enumerated() {
                let space = String(repeating: " ", count: widths[i] - cell.count)
                // Text to the left, numbers to the right.
                line += i == 0 ? cell + space : i == 9 ? "  " + cell : "  " + space + cell
            }
            while line.last == " " { line.removeLast() }
            text += line + "\n"
        }
        if shown.count < all.count { text += "... and \(all.count - shown.count) more\n" }
        return text
    }

    private func fixed(_ value: Double, _ digits: Int) -> String {
        let factor = digits == 2 ? 100 : 10
        let scaled = Int((abs(value) * Double(factor)).rounded())
        let fraction = String(scaled % factor)
        return (value < 0 && scaled > 0 ? "-" : "") + "\(scaled / factor)."
            + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    private func bytes(_ count: Int) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return unit == "B" ? "\(count) B" : fixed(value, 1) + " " + unit }
            value /= 1024
        }
        return fixed(value, 1) + " TiB"
    }
}
