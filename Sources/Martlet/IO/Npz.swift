/// NumPy's files of several named arrays: `.npz`, as written by `numpy.savez` and `numpy.savez_compressed`.
///
/// The element types are those of ``Npy``.
public enum Npz {
    /// Loads every array of a file, in its order.
    ///
    /// - Throws: `MartletError.file` when the file cannot be read, `.format` when it is damaged.
    public static func load(_ path: String) throws -> [(name: String, tensor: Tensor)] {
        let file = try NpzFile(path)
        return try file.names.map { ($0, try file.tensor($0)) }
    }

    /// Writes named tensors, uncompressed, replacing the file as a whole once everything is written.
    ///
    /// - Throws: `MartletError.format` for bfloat16 and for a name that occurs twice, `.file` or `.resources` when the
    ///   file cannot be written.
    public static func save(_ tensors: [(String, Tensor)], to path: String, sync: Bool = false) throws {
        var names: Set<String> = []
        let writer = try FileWriter(replacing: path)
        let zip = ZipWriter(writer)
        for (name, tensor) in tensors {
            if !names.insert(name).inserted {
                throw MartletError(.format, "\(path): two tensors are named \"\(name)\"")
            }
            let header = try Npy.makeHeader(tensor, path)
            try header.withUnsafeBytes { header in
                try tensor.withBytes { try zip.add(name + ".npy", [header, $0]) }
            }
        }
        try zip.finish()
        try writer.commit(sync: sync)
    }
}

/// One `.npz` file: arrays are read from it one by one, by name.
public final class NpzFile: Sendable {
    /// The names of the arrays, without ".npy", in the order of the file.
    public let names: [String]
    private let archive: ZipArchive
    private let members: [String: ZipArchive.Member]

    /// Opens a file and reads its directory.
    ///
    /// - Throws: `MartletError.file` when it cannot be read, `.format` when it is damaged or has no array.
    public init(_ path: String) throws {
        archive = try ZipArchive(path)
        var names: [String] = []
        var members: [String: ZipArchive.Member] = [:]
        for member in archive.members where member.name.hasSuffix(".npy") {
            let name = String(member.name.dropLast(4))
            names.append(name)
            if members.updateValue(member, forKey: name) != nil {
                throw MartletError(.format, "\(path): two arrays are named \"\(name)\"")
            }
        }
        // An .npz of no arrays is an empty zip file; one with other members only is another kind of file.
        if names.isEmpty && !archive.members.isEmpty {
            throw MartletError(
                .format, "\(path): a zip file without .npy members: it has \"\(archive.members[0].name)\"")
        }
        self.names = names
        self.members = members
    }

    /// The array of a name.
    ///
    /// - Throws: `MartletError.mismatch` when there is none, `.format` when it is damaged.
    public func tensor(_ name: String) throws -> Tensor {
        guard let member = members[name] else {
            throw MartletError(.mismatch, "\(archive.path) has no array \"\(name)\"\(nearest(name, names))")
        }
        return try archive.withContent(member) {
            try Npy.decode($0, "\(archive.path): \(member.name)", owner: nil)
        }
    }
}
