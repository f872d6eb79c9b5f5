import FoundationEssentials

/// What a checkpoint's folder must hold: its `manifest.json`.
public struct CheckpointManifest: Codable, Sendable, Equatable {
    public struct File: Codable, Sendable, Equatable {
        /// The path relative to the checkpoint's folder.
        public let name: String
        public let bytes: Int
        /// The CRC-32C of the content, eight hexadecimal digits.
        public let crc32c: String
    }

    static let fileName = "manifest.json"
    static let currentFormat = 1

    public let format: Int
    public let step: Int
    /// The validation loss at this step, where one was measured.
    public let validationLoss: Double?
    public let files: [File]

    /// The manifest of the files in a folder.
    init(step: Int, validationLoss: Double?, folder: String) throws(FileError) {
        format = Self.currentFormat
        self.step = step
        // JSON has no NaN, and a loss that is none ranks nowhere.
        self.validationLoss = validationLoss.flatMap { $0.isFinite ? $0 : nil }
        var files: [File] = []
        for name in try FileIO.files(below: folder) where name != Self.fileName {
            let path = folder + "/" + name
            files.append(
                File(
                    name: name, bytes: try FileIO.size(path), crc32c: Self.hexadecimal(try CRC32C.checksum(file: path)))
            )
        }
        self.files = files
    }

    /// The manifest and the checksum over its canonical form, by which damage to the manifest itself is found.
    private struct Envelope: Codable {
        let crc32c: String
        let manifest: CheckpointManifest
    }

    private static func encoder(pretty: Bool) -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    private func checksum() throws -> String {
        Self.hexadecimal(CRC32C.checksum(Array(try Self.encoder(pretty: false).encode(self))))
    }

    func encoded() throws -> [UInt8] {
        let envelope = Envelope(crc32c: try checksum(), manifest: self)
        return Array(try Self.encoder(pretty: true).encode(envelope)) + [UInt8(ascii: "\n")]
    }

    /// - Throws: `CheckpointError` that names the manifest.
    static func read(fromCheckpoint folder: String) throws(CheckpointError) -> CheckpointManifest {
        let bytes: [UInt8]
        do {
            bytes = try FileIO.read(folder + "/" + fileName)
        } catch {
            throw CheckpointError(checkpoint: folder, file: fileName, problem: FileIO.reason(error.code))
        }
        struct Format: Decodable {
            struct Inner: Decodable { let format: Int }
            let manifest: Inner
        }
        let data = Data(bytes)
        if let format = try? JSONDecoder().decode(Format.self, from: data), format.manifest.format > currentFormat {
            throw CheckpointError(
                checkpoint: folder, file: fileName,
                problem: "it has format \(format.manifest.format), this version reads up to \(currentFormat)")
        }
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: data),
            let checksum = try? envelope.manifest.checksum()
        else {
            throw CheckpointError(
                checkpoint: folder, file: fileName,
                problem: "expected a checkpoint's manifest, found \(bytes.count) other bytes")
        }
        guard envelope.crc32c == checksum else {
            throw CheckpointError(
                checkpoint: folder, file: fileName,
                problem: "damaged: expected the checksum \(envelope.crc32c), found \(checksum)")
        }
        return envelope.manifest
    }

    /// Compares every file with the manifest.
    ///
    /// - Throws: `CheckpointError` for the first file that differs.
    func verify(folder: String) throws(CheckpointError) {
        // Sizes first: they find most damage without reading gigabytes.
        for file in files {
            let size: Int
            do {
                size = try FileIO.size(folder + "/" + file.name)
            } catch {
                throw CheckpointError(checkpoint: folder, file: file.name, problem: FileIO.reason(error.code))
            }
            guard size == file.bytes else {
                throw CheckpointError(
                    checkpoint: folder, file: file.name,
                    problem: "damaged: expected \(file.bytes) bytes, found \(size)"
                        + (size < file.bytes ? " (truncated)" : ""))
            }
        }
        for file in files {
            let checksum: String
            do {
                checksum = Self.hexadecimal(try CRC32C.checksum(file: folder + "/" + file.name))
            } catch {
                throw CheckpointError(checkpoint: folder, file: file.name, problem: FileIO.reason(error.code))
            }
            guard checksum == file.crc32c else {
                throw CheckpointError(
                    checkpoint: folder, file: file.name,
                    problem: "damaged: expected the checksum \(file.crc32c), found \(checksum)")
            }
        }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }
}

/// A checkpoint that cannot be used.
public struct CheckpointError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The checkpoint's folder, or where one was looked for.
    public let checkpoint: String
    /// The file at fault, relative to the folder.
    public let file: String?
    public let problem: String

    init(checkpoint: String, file: String? = nil, problem: String) {
        self.checkpoint = checkpoint
        self.file = file
        self.problem = problem
    }

    public var description: String {
        file.map { "checkpoint \(checkpoint): \($0): \(problem)" } ?? "\(checkpoint): \(problem)"
    }
}
