/// Numbers as people read them.
public enum Format {
    /// `512 B`, `1.5 kB`, `24.7 GB`: powers of 1000.
    public static func bytes(_ count: Int) -> String {
        scaled(Double(count), units: ["B", "kB", "MB", "GB", "TB", "PB"])
    }

    /// `987`, `12.3k`, `8.63B`: a count with a suffix.
    public static func count(_ count: Double) -> String {
        scaled(count, units: ["", "k", "M", "B", "T"], separator: "")
    }

    /// `205 GFLOP/s`.
    public static func flops(_ perSecond: Double) -> String {
        scaled(perSecond, units: ["FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s"])
    }

    /// `8s`, `4m 05s`, `2h 07m`, `3d 04h`; `?` where the time is no finite number.
    public static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e15 else { return "?" }
        let total = Int(max(0, seconds).rounded())
        switch total {
        case ..<60: return "\(total)s"
        case ..<3600: return "\(total / 60)m \(padded(total % 60))s"
        case ..<86_400: return "\(total / 3600)h \(padded(total / 60 % 60))m"
        default: return "\(total / 86_400)d \(padded(total / 3600 % 24))h"
        }
    }

    /// A number with a fixed count of decimals: `fixed(3.14159, 2)` is `3.14`.
    public static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-inf" : "inf" }
        var power = 1.0
        for _ in 0..<decimals { power *= 10 }
        let scaled = (abs(value) * power).rounded()
        guard scaled < 9e15 else { return value.description }
        let digits = Int(scaled)
        let sign = value < 0 && digits > 0 ? "-" : ""
        let whole = digits / Int(power)
        guard decimals > 0 else { return "\(sign)\(whole)" }
        let fraction = String(digits % Int(power))
        return "\(sign)\(whole).\(String(repeating: "0", count: decimals - fraction.count))\(fraction)"
    }

    /// A number with a count of significant digits, with an exponent where it is very small or large: `3.00e-4`.
    public static func significant(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, value != 0 else { return fixed(value, 0) }
        var exponent = 0
        var mantissa = abs(value)
        while mantissa >= 10 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa < 1 {
            mantissa *= 10
            exponent -= 1
        }
        if exponent >= -3 && exponent < digits + 3 { return fixed(value, max(0, digits - 1 - exponent)) }
        var text = fixed(mantissa, digits - 1)
        if text.hasPrefix("10") {
            text = fixed(mantissa / 10, digits - 1)
            exponent += 1
        }
        return (value < 0 ? "-" : "") + text + "e\(exponent)"
    }

    private static func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    private static func scaled(_ value: Double, units: [String], separator: String = " ") -> String {
        guard value.isFinite else { return "?" }
        var value = value
        var unit = 0
        // 999.5 would be printed as 1000.
        while abs(value) >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        let decimals = unit == 0 || abs(value) >= 99.95 ? 0 : abs(value) >= 9.995 ? 1 : 2
        return fixed(value, decimals) + separator + units[unit]
    }
}
