import Testing

/// Expects every part in what a process wrote to standard error before it stopped.
func expectMessage(
    _ result: ExitTest.Result?, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation
) {
    guard let result else { return }
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    for part in parts {
        #expect(text.contains(part), "missing in \(text.prefix(2000))", sourceLocation: sourceLocation)
    }
}
