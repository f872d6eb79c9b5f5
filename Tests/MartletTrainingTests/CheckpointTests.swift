import Foundation
import MartletTraining
import Testing

/// A minimal checkpoint.
private func fill(_ folder: String, _ content: String = "weights") throws {
    try store(content, at: folder + "/model.safetensors")
    try FileManager.default.createDirectory(atPath: folder + "/optimizer", withIntermediateDirectories: true)
    try store("moments of \(content)", at: folder + "/optimizer/state.safetensors")
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Suite struct CRC32CTests {
    @Test func publishedValues() {
        // RFC 3720, B.4, and the usual check value.
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.checksum([]) == 0)
    }

    @Test func piecesGiveTheSameAsTheWhole() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ 7) }
        for cut in [0, 1, 7, 8, 9, 500, 999, 1000] {
            var crc = CRC32C()
            bytes[..<cut].withUnsafeBytes { crc.update($0) }
            bytes[cut...].withUnsafeBytes { crc.update($0) }
            #expect(crc.value == CRC32C.checksum(bytes))
        }
    }

    @Test func filesLargerThanTheBuffer() throws {
        try withTemporaryFolder { folder in
            let bytes = (0..<(2 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try store(bytes, at: folder + "/f")
            #expect(try CRC32C.checksum(file: folder + "/f") == CRC32C.checksum(bytes))
            #expect(throws: FileError.self) { try CRC32C.checksum(file: folder + "/none") }
        }
    }
}

@Suite struct AtomicFileTests {
    @Test func replacesAndLeavesNothingBehind() throws {
        try withTemporaryFolder { folder in
            try AtomicFile.write("one", to: folder + "/f")
            try AtomicFile.write("two", to: folder + "/f")
            #expect(try text(folder + "/f") == "two")
            #expect(try names(in: folder) == ["f"])
        }
    }

    @Test func errorsNamePathAndReasonAndLeaveTheOld() throws {
        try withTemporaryFolder { folder in
            #expect(
                message { try AtomicFile.write("x", to: folder + "/none/f") }
                    == "cannot write \(folder)/none/f: no such file or folder")
            try FileManager.default.createDirectory(atPath: folder + "/d/inner", withIntermediateDirectories: true)
            #expect(message { try AtomicFile.write("x", to: folder + "/d") }.hasPrefix("cannot write \(folder)/d: "))
            #expect(try names(in: folder) == ["d"])
        }
    }

    @Test func noSpaceIsSaidPlainly() throws {
        let text = message { try MetricsWriter(path: "/dev/full").write(MetricsRecord(step: 1, ["loss": 1.0])) }
        #expect(text.hasPrefix("cannot write /dev/full: no space left on the device"))
        #expect(text.contains("free some space"))
    }
}

@Suite struct AtomicDirectoryTests {
    @Test func appearsCompleteAndIsReplaced() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a/b/checkpoint"
            try AtomicDirectory.write(to: path) { temporary in
                try fill(temporary)
                #expect(!FileManager.default.fileExists(atPath: path))
            }
            #expect(try names(in: path) == ["model.safetensors", "optimizer"])
            try AtomicDirectory.write(to: path) { try store("new", at: $0 + "/other") }
            #expect(try names(in: path) == ["other"])
            #expect(try names(in: folder + "/a/b") == ["checkpoint"])
        }
    }

    @Test func failureLeavesTheOld() throws {
        struct Broken: Error {}
        try withTemporaryFolder { folder in
            let path = folder + "/checkpoint"
            try AtomicDirectory.write(to: path) { try fill($0) }
            #expect(throws: Broken.self) {
                try AtomicDirectory.write(to: path) { temporary in
                    try fill(temporary, "half")
                    throw Broken()
                }
            }
            #expect(try text(path + "/model.safetensors") == "weights")
            #expect(try names(in: folder) == ["checkpoint"])
        }
    }

    @Test func onlyLeftoversOfDeadProcessesAreRemoved() throws {
        try withTemporaryFolder { folder in
            // No process has this number: Linux's largest is 2^22.
            let dead = ".tmp-999999999-1-step-00000001"
            let alive = ".tmp-\(ProcessInfo.processInfo.processIdentifier)-1-step-00000002"
            for name in [dead, alive, ".tmp-notes", "step-00000003"] {
                try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
            }
            try fill(folder + "/" + dead)
            #expect(try AtomicDirectory.removeStaleTemporaries(in: folder) == [dead])
            #expect(try names(in: folder) == [alive, ".tmp-notes", "step-00000003"].sorted())
            #expect(try AtomicDirectory.removeStaleTemporaries(in: folder + "/none") == [])
        }
    }
}

@Suite struct CheckpointStoreTests {
    @Test func keepsTheLastAndTheBest() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder + "/checkpoints")
            let losses: [Double?] = [5, 2, 3, nil, 4, 2, .nan]
            for (index, loss) in losses.enumerated() {
                let checkpoint = try store.save(
                    step: (index + 1) * 10, validationLoss: loss, keepLast: 2, keepBest: 2, write: { try fill($0) })
                #expect(checkpoint.step == (index + 1) * 10)
            }
            // 20 and 60 are the best, 60 and 70 the last.
            #expect(try store.steps() == [20, 60, 70])
            #expect(try store.open(.latest).checkpoint.step == 70)
            #expect(try store.open(.best).checkpoint.step == 20)
            #expect(try store.open(.step(60)).checkpoint.validationLoss == 2)
            #expect(try names(in: store.folder) == ["step-00000020", "step-00000060", "step-00000070"])
        }
    }

    @Test func savingAgainReplaces() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            for content in ["one", "two"] {
                try store.save(step: 5, keepLast: 1, write: { try fill($0, content) })
            }
            let checkpoint = try store.open(.latest).checkpoint
            #expect(try text(checkpoint.folder + "/model.safetensors") == "two")
        }
    }

    @Test func failedSaveKeepsTheEarlier() throws {
        struct Full: Error {}
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            try store.save(step: 1, keepLast: 1, write: { try fill($0) })
            #expect(throws: Full.self) {
                try store.save(step: 2, keepLast: 1, write: { _ in throw Full() })
            }
            #expect(try names(in: folder) == ["step-00000001"])
        }
    }

    @Test func goingBackRemovesWhatCameAfter() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            for step in 1...4 { try store.save(step: step, keepLast: 9, write: { try fill($0) }) }
            #expect(try store.open(.latest, notAfter: 3).checkpoint.step == 3)
            try store.removeAll(after: 2)
            #expect(try store.steps() == [1, 2])
            #expect(
                message { _ = try store.open(.latest, notAfter: 0) } == "\(folder): there is no checkpoint up to step 0"
            )
        }
    }

    @Test(arguments: ["model.safetensors", "optimizer/state.safetensors", "manifest.json"])
    func everyDamageNamesItsFile(_ file: String) throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            try store.save(step: 1, validationLoss: 3, keepLast: 9, write: { try fill($0) })
            try store.save(step: 2, validationLoss: 2, keepLast: 9, write: { try fill($0) })
            let path = store.path(step: 2) + "/" + file
            let sound = try contents(path)

            func expectDamage(_ words: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
                let text = message { _ = try store.open(.latest) }
                #expect(text.hasPrefix("checkpoint \(store.path(step: 2)): \(file): "), sourceLocation: sourceLocation)
                #expect(text.contains(words), "\(text)", sourceLocation: sourceLocation)
                let (checkpoint, passedOver) = try store.open(.latest, fallBack: true)
                #expect(checkpoint.step == 1, sourceLocation: sourceLocation)
                #expect(passedOver.map(\.file) == [file], sourceLocation: sourceLocation)
            }

            try MartletTrainingTests.store(Array(sound.dropLast()), at: path)
            // A manifest without its last newline is still the same manifest.
            if file != "manifest.json" { try expectDamage("(truncated)") }
            try MartletTrainingTests.store(Array(sound.prefix(sound.count / 2)), at: path)
            try expectDamage(file == "manifest.json" ? "expected a checkpoint's manifest" : "(truncated)")
            try MartletTrainingTests.store(sound + [0], at: path)
            try expectDamage(file == "manifest.json" ? "expected a checkpoint's manifest" : "expected")
            try FileManager.default.removeItem(atPath: path)
            try expectDamage("no such file or folder")
        }
    }

    @Test func everyFlippedBitOfTheDataIsFound() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            try store.save(step: 1, keepLast: 9, write: { try fill($0) })
            let path = store.path(step: 1) + "/model.safetensors"
            let sound = try contents(path)
            for bit in 0..<sound.count * 8 {
                var damaged = sound
                damaged[bit / 8] ^= 1 << (bit % 8)
                try MartletTrainingTests.store(damaged, at: path)
                #expect(throws: CheckpointError.self) { try store.open(.latest) }
            }
        }
    }

    @Test func noFlippedBitOfTheManifestChangesItsMeaning() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            let saved = try store.save(step: 123, validationLoss: 1.75, keepLast: 9, write: { try fill($0) })
            let path = saved.folder + "/manifest.json"
            let sound = try contents(path)
            for bit in 0..<sound.count * 8 {
                var damaged = sound
                damaged[bit / 8] ^= 1 << (bit % 8)
                try MartletTrainingTests.store(damaged, at: path)
                // Only white space may change without being noticed.
                if let found = try? store.open(.latest).checkpoint { #expect(found == saved) }
            }
        }
    }

    @Test func newerFormatsAreRefused() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            let saved = try store.save(step: 1, keepLast: 1, write: { try fill($0) })
            let path = saved.folder + "/manifest.json"
            let newer = try text(path).replacingOccurrences(of: "\"format\" : 1", with: "\"format\" : 2")
            try MartletTrainingTests.store(newer, at: path)
            #expect(message { _ = try store.open(.latest) }.hasSuffix("it has format 2, this version reads up to 1"))
        }
    }

    @Test func allDamaged() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder)
            for step in [1, 2] {
                try store.save(step: step, keepLast: 9, write: { try fill($0) })
                try MartletTrainingTests.store("", at: store.path(step: step) + "/model.safetensors")
            }
            let text = message { _ = try store.open(.latest, fallBack: true) }
            #expect(
                text.hasPrefix(
                    "\(folder): every checkpoint is damaged:\n  checkpoint \(store.path(step: 2)): model.safetensors"))
            #expect(text.split(separator: "\n").count == 3)
        }
    }

    @Test func userPaths() throws {
        try withTemporaryFolder { folder in
            let store = CheckpointStore(folder: folder + "/run/checkpoints")
            for (step, loss) in [(1, 2.0), (2, 3.0)] {
                try store.save(step: step, validationLoss: loss, keepLast: 9, write: { try fill($0) })
            }
            for path in [
                "/run", "/run/", "/run/checkpoints", "/run/checkpoints/step-00000002",
                "/run/checkpoints/step-00000002/",
            ] {
                #expect(try CheckpointStore.open(path: folder + path).checkpoint.step == 2, "\(path)")
            }
            #expect(try CheckpointStore.open(path: folder + "/run", .best).checkpoint.step == 1)
            #expect(
                message { _ = try CheckpointStore.open(path: folder + "/none") }
                    == "\(folder)/none: there is no such folder")
            #expect(
                message { _ = try CheckpointStore.open(path: folder) }
                    == "\(folder): expected a checkpoint, a folder of checkpoints or a run's folder, found none of them"
            )
            #expect(
                message { _ = try store.open(.step(7)) }
                    == "\(store.folder): there is no checkpoint of step 7, only of 1, 2")
            #expect(
                message { _ = try CheckpointStore(folder: folder + "/empty").open(.latest) }
                    == "\(folder)/empty: there is no checkpoint")
        }
    }

    @Test func strangersAreLeftAlone() throws {
        try withTemporaryFolder { folder in
            for name in ["step-1", "step-abc", "step-00000009.bak", "notes"] {
                try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
            }
            let store = CheckpointStore(folder: folder)
            for step in 1...3 { try store.save(step: step, keepLast: 1, write: { try fill($0) }) }
            #expect(try store.steps() == [3])
            #expect(try names(in: folder) == ["notes", "step-00000003", "step-00000009.bak", "step-1", "step-abc"])
        }
    }
}

@Suite struct RunLockTests {
    @Test func oneOwnerAtATime() throws {
        try withTemporaryFolder { folder in
            let lock = try RunLock(folder: folder + "/run")
            #expect(throws: RunLockError.self) { try RunLock(folder: folder + "/run") }
            withExtendedLifetime(lock) {}
        }
    }

    @Test func theLockIsGivenBack() throws {
        try withTemporaryFolder { folder in
            do { _ = try RunLock(folder: folder) }
            _ = try RunLock(folder: folder)
        }
    }
}
