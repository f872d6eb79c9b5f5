import Glibc

/// How threads wait for work.
///
/// libgomp's threads spin for milliseconds before they sleep. On processors that other programs use, too, a spinning
/// thread keeps the one that it waits for from running: generating text became three times slower with one other busy
/// process. Some hundred microseconds are enough to bridge the time between two kernels. libgomp reads its settings when
/// it is loaded, before any code of ours runs, so the program starts itself again with them.
enum ThreadWaiting {
    private static let spinCount = "20000"
    private static let computing: Set<String> = ["train", "generate", "evaluate", "forward", "convert", "bench"]

    /// Call before anything else.
    static func settle() {
        let arguments = CommandLine.arguments
        guard arguments.count > 1, computing.contains(arguments[1]),
            getenv("GOMP_SPINCOUNT") == nil, getenv("OMP_WAIT_POLICY") == nil
        else { return }
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &path, Int(PATH_MAX))
        guard length > 0 else { return }
        path[length] = 0
        setenv("GOMP_SPINCOUNT", spinCount, 1)
        // Returns only when it failed; then the program runs as it is, with libgomp's own way of waiting.
        execv(path, CommandLine.unsafeArgv)
        unsetenv("GOMP_SPINCOUNT")
    }
}
