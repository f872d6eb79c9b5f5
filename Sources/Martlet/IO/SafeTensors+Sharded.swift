#if canImport(Glibc)
internal import Glibc
#endif

/// A model in one or several safetensors files, read by name as if it were one file.
public final class ShardedSafeTensors: Sendable {
    /// The names in the order of the files.
    public let names: [String]
    /// The strings that the writer added.
    public let metadata: [String: String]
    public let files: [SafeTensorsFile]
    private let fileOfName: [String: Int]
    private let path: String

    /// Opens a `.safetensors` file, an index (`model.safetensors.index.json`) with its shards, or a folder with either.
    ///
    /// - Throws: `MartletError.file` when a file is missing or cannot be read, `.format` when one is damaged or the
    ///   index does not match the shards.
    public init(_ path: String) throws {
        self.path = path
        let found = try ShardedSafeTensors.resolve(path)
        if !found.hasSuffix(".json") {
            let file = try SafeTensorsFile(found)
            files = [file]
            names = file.names
            metadata = file.metadata
            fileOfName = Dictionary(uniqueKeysWithValues: file.names.map { ($0, 0) })
            return
        }
        let index = try JSONValue.load(found)
        guard let map = index["weight_map"]?.objectValue else {
            throw MartletError(.format, "\(found): the index has no weight_map object")
        }
        var shardNames: [String] = []
        var shardOf: [String: Int] = [:]
        var fileOfName: [String: Int] = [:]
        for (name, value) in map.members {
            guard let shard = value.stringValue else {
                throw MartletError(.format, "\(found): the file of \"\(name)\" is \(value.kind), not a string")
            }
            // An index names files beside it, never files elsewhere on the machine.
            if shard.isEmpty || shard == "." || shard == ".." || shard.utf8.contains(UInt8(ascii: "/"))
                || shard.utf8.contains(0)
            {
                throw MartletError(
                    .format, "\(found): \"\(name)\" is said to be in \"\(shard)\", which is no file beside the index")
            }
            if shardOf[shard] == nil {
                shardOf[shard] = shardNames.count
                shardNames.append(shard)
            }
            if fileOfName.updateValue(shardOf[shard]!, forKey: name) != nil {
                throw MartletError(
                    .format, "\(found): \"\(name)\" is listed twice but for the Unicode form of an accent")
            }
        }
        let folder = FileWriter.folder(of: found)
        files = try shardNames.map { try SafeTensorsFile("\(folder)/\($0)") }
        var names: [String] = []
        for (i, file) in files.enumerated() {
            // A tensor that the index gives to another shard, or to none, is left aside, as other readers do.
            names += file.names.filter { fileOfName[$0] == i }
        }
        if names.count != fileOfName.count {
            for (name, i) in fileOfName.sorted(by: { $0.key < $1.key }) where files[i].entry(name) == nil {
                throw MartletError(
                    .format, "\(found): \"\(name)\" is said to be in \(files[i].path), which does not have it")
            }
        }
        self.names = names
        self.fileOfName = fileOfName
        var metadata: [String: String] = [:]
        for file in files { metadata.merge(file.metadata) { first, _ in first } }
        self.metadata = metadata
    }

    private static func resolve(_ path: String) throws -> String {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return path }
        for name in ["model.safetensors", "model.safetensors.index.json"] where access("\(path)/\(name)", F_OK) == 0 {
            return "\(path)/\(name)"
        }
        throw MartletError(.file, "the folder \(path) has neither model.safetensors nor model.safetensors.index.json")
    }

    /// The tensor of a name, read-only and reading its file in place.
    ///
    /// - Throws: `MartletError.mismatch` when there is none.
    public func tensor(_ name: String) throws -> Tensor {
        guard let i = fileOfName[name] else {
            throw MartletError(.mismatch, "\(path) has no tensor \"\(name)\"\(nearest(name, names))")
        }
        return try files[i].tensor(name)
    }

    /// What the header says of a tensor, nil when there is none of this name.
    public func entry(_ name: String) -> SafeTensorsFile.Entry? { fileOfName[name].flatMap { files[$0].entry(name) } }
}

extension SafeTensors {
    /// Writes a model to a folder: as `model.safetensors`, or, when it is larger than a shard may be, as
    /// `model-00001-of-0000N.safetensors`, … with `model.safetensors.index.json`.
    ///
    /// Tensors fill shards in the order given; one that is larger than a shard has its own. An index or a single file
    /// that an earlier save under these names left is removed, so that the folder holds one model.
    ///
    /// - Parameter shardLimit: the most bytes of tensors in a file.
    public static func saveSharded(
        _ tensors: [(String, Tensor)], to folder: String, shardLimit: Int = 5_000_000_000,
        metadata: [String: String] = [:], sync: Bool = false
    ) throws {
        precondition(shardLimit > 0, "a shard holds at least one byte")
        var shards: [[(String, Tensor)]] = [[]]
        var size = 0
        var names: Set<String> = []
        for (name, tensor) in tensors {
            if !names.insert(name).inserted {
                throw MartletError(.format, "\(folder): two tensors are named \"\(name)\"")
            }
            if size > 0 && size + tensor.byteCount > shardLimit {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append((name, tensor))
            size += tensor.byteCount
        }
        let single = "\(folder)/model.safetensors"
        let index = "\(folder)/model.safetensors.index.json"
        if shards.count == 1 {
            try save(shards[0], to: single, metadata: metadata, sync: sync)
            try remove(index)
            return
        }
        func number(_ n: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(n)".count)) + "\(n)" }
        var map = JSONObject()
        for (i, shard) in shards.enumerated() {
            let name = "model-\(number(i + 1))-of-\(number(shards.count)).safetensors"
            try save(shard, to: "\(folder)/\(name)", metadata: metadata, sync: sync)
            for (tensor, _) in shard { map[tensor] = .string(name) }
        }
        let total = tensors.reduce(0) { $0 + $1.1.byteCount }
        let root: JSONValue = ["metadata": ["total_size": .int(Int64(total))], "weight_map": .object(map)]
        try FileWriter.write(root.serialized(pretty: true) + [UInt8(ascii: "\n")], to: index, sync: sync)
        try remove(single)
    }

    private static func remove(_ path: String) throws {
        if unlink(path) != 0 && errno != ENOENT { throw fileError("remove", path) }
    }
}
