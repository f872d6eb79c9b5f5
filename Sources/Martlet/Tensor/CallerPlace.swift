private import Runtime

/// Finds the line of the program that called into Martlet.
enum CallerPlace {
    /// `file.swift:12` in the innermost function outside of Martlet; nil where the program has no debugging information.
    @inline(never)
    static func find() -> String? {
        guard let frames = (try? Backtrace.capture(limit: 256))?.symbolicated()?.frames else { return nil }
        // The folder of our modules, written as the compiler writes it into debugging information.
        let sources = #filePath.dropLast("Martlet/Tensor/CallerPlace.swift".count)
        for frame in frames {
            // The standard library has no lines, and what the compiler made has the line 0.
            guard let place = frame.symbol?.sourceLocation, place.line > 0 else { continue }
            if place.path.hasPrefix(sources) && !place.path.hasPrefix(sources + "MartletCLI/") { continue }
            return "\(place.path.split(separator: "/").last ?? ""):\(place.line)"
        }
        return nil
    }
}
