internal import CMartletKernels

/// Whether operations on this thread are recorded for differentiation.
public var isGradEnabled: Bool { mk_thread().pointee.no_grad_depth == 0 }

/// Runs `body` without recording: results do not require gradients, nothing is saved for a backward pass.
@discardableResult
@inline(__always)
public func noGrad<R>(_ body: () throws -> R) rethrows -> R {
    GradMode.disable()
    defer { GradMode.enable() }
    return try body()
}

/// Runs `body` with recording on, also inside ``noGrad(_:)``.
@discardableResult
public func withGrad<R>(_ body: () throws -> R) rethrows -> R {
    let state = GradMode.swap(0)
    defer { _ = GradMode.swap(state) }
    return try body()
}

@usableFromInline
enum GradMode {
    @usableFromInline static func disable() { mk_thread().pointee.no_grad_depth += 1 }
    @usableFromInline static func enable() { mk_thread().pointee.no_grad_depth -= 1 }
    static func swap(_ depth: Int32) -> Int32 {
        let old = mk_thread().pointee.no_grad_depth
        mk_thread().pointee.no_grad_depth = depth
        return old
    }
}
