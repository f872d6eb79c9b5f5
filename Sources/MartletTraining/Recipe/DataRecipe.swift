/// The data section of a recipe.
public struct DataRecipe: Sendable, Equatable {
    public var train: [TokenFile] = []
    public var validation: [TokenFile] = []
    public var sequenceLength = 2048
    public var verify = true

    public init() {}

    public init(train: [TokenFile], validation: [TokenFile] = [], sequenceLength: Int = 2048) {
        self.train = train
        self.validation = validation
        self.sequenceLength = sequenceLength
    }
}

extension DataRecipe: RecipeSection {
    package static var fields: [RecipeField<DataRecipe>] {
        [
            RecipeField(
                "train", \.trainList,
                "Token files made by 'martlet data prepare'. With several, weights say which share of the sequences comes "
                    + "from which",
                limit: .notEmpty, isRequired: true),
            RecipeField("validation", \.validationList, "Held-out token files; [] for none"),
            RecipeField(
                "sequenceLength", \.sequenceLength, "Tokens in one training sequence", limit: .within(1...1 << 24)),
            RecipeField(
                "verify", \.verify, "Read the token files once before the run and check their checksums (about 1 GB/s)"),
        ]
    }

    private var trainList: TokenFileList {
        get { TokenFileList(files: train) }
        set { train = newValue.files }
    }
    private var validationList: TokenFileList {
        get { TokenFileList(files: validation) }
        set { validation = newValue.files }
    }
}

/// A file of token ids.
public struct TokenFile: Sendable, Equatable {
    /// The path, relative to the current directory.
    public var path = ""
    /// The file's share of the sequences, relative to the other files' weights.
    public var weight = 1.0

    public init() {}

    public init(path: String, weight: Double = 1) {
        self.path = path
        self.weight = weight
    }
}

extension TokenFile: RecipeSection {
    package static var fields: [RecipeField<TokenFile>] {
        [
            RecipeField("path", \.path, "The token file", limit: .notEmpty, isRequired: true),
            RecipeField("weight", \.weight, "Its share, relative to the others' weights", limit: .above(0)),
        ]
    }
}

/// Token files as they are written: one path, one mapping, or a list of either.
struct TokenFileList: RecipeValue {
    var files: [TokenFile]

    static var expectation: String { "a path, or a list of paths or of {path, weight} mappings" }

    static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> TokenFileList? {
        guard case .list(let elements) = node.value else {
            return readFile(node, at: path, problems: &problems).map { TokenFileList(files: [$0]) }
        }
        let files = elements.enumerated().compactMap { readFile($1, at: "\(path).\($0)", problems: &problems) }
        return files.count == elements.count ? TokenFileList(files: files) : nil
    }

    private static func readFile(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> TokenFile? {
        switch node.value {
        case .quoted(let text) where !text.isEmpty: return TokenFile(path: text)
        case .plain(let text) where !node.isNull: return TokenFile(path: text)
        case .mapping: return TokenFile.read(node, at: path, problems: &problems)
        default:
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
    }

    var configNode: ConfigNode { files.configNode }
}

extension RecipeLimit where Value == TokenFileList {
    static var notEmpty: Self { Self(text: "(at least one)") { !$0.files.isEmpty } }
}
