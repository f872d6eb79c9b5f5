// Where NaN or infinity came from.
internal import Martlet
internal import MartletData
internal import MartletModels
internal import MartletNN

enum NumericsReport {
    /// Looks for the first module whose output is not finite on `batch`, else for parameters or gradients that are not.
    static func find(_ model: PaLM, _ batch: TokenBatch) -> String {
        func bad(_ t: Tensor) -> Bool { noGrad { t.detach().isFinite().all().item() == 0 } }
        if let (name, _) = model.namedParameters().first(where: { bad($0.parameter) }) {
            return "the parameter \(name) holds NaN or infinity before the step"
        }
        final class Finding { var path: String? }
        let finding = Finding()
        var handles: [HookHandle] = []
        for (name, module) in model.namedModules() where !name.isEmpty {
            handles.append(
                module.registerForwardHook { _, _, output in
                    if finding.path == nil, bad(output) { finding.path = name }
                    return nil
                })
        }
        defer { for handle in handles { handle.remove() } }
        let (inputs, targets) = batch.tensors
        let loss = noGrad { model.loss(inputs, targets: targets).loss }
        if let path = finding.path { return "the first module whose output holds NaN or infinity is \(path)" }
        if bad(loss) { return "every module's output is finite, the loss itself is not" }
        if let (name, _) = model.namedParameters().first(where: { $0.parameter.grad.map(bad) ?? false }) {
            return "outputs are finite; the first gradient that holds NaN or infinity is that of \(name)"
        }
        return "it did not come again when the batch was repeated"
    }
}
