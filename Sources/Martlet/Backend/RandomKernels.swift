// Random numbers: functions of a generator's seed and offset alone, so that every device draws the same.
internal import CMartletKernels

extension Kernels {
    static func uniform(_ out: Tensor, _ start: Generator.State, low: Double, high: Double) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_random_uniform(&o, start.seed, start.offset, low, high)
        span.end("rand", out)
    }

    static func normal(_ out: Tensor, _ start: Generator.State, mean: Double, std: Double) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_random_normal(&o, start.seed, start.offset, mean, std)
        span.end("randn", out)
    }

    static func integers(_ out: Tensor, _ start: Generator.State, low: Int, high: Int) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_random_integers(&o, start.seed, start.offset, Int64(low), Int64(high))
        span.end("randint", out)
    }

    static func bernoulli(_ out: Tensor, _ start: Generator.State, _ p: Double) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_random_bernoulli(&o, start.seed, start.offset, p)
        span.end("bernoulli", out)
    }

    static func dropout(_ out: Tensor, _ input: Tensor, _ start: Generator.State, _ p: Double) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        mk_dropout(&o, &x, start.seed, start.offset, p)
        span.end("dropout", out, input)
    }
}
