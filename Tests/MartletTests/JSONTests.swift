import Martlet
import Testing

struct JSONTests {
    @Test func readsEveryKindOfValue() throws {
        let value = try JSONValue.parse(
            #" { "b" : [ 1 , -2.5e3, true, false, null, "x\u00e9\ud83d\ude00\n\/" ], "a": {}, "big": 1e20 } "#
        )
        #expect(value.objectValue!.keys == ["b", "a", "big"])
        #expect(value["b"] == [1, -2500.0, true, false, .null, "xé😀\n/"])
        #expect(value["b"]!.arrayValue![0] == .int(1))
        #expect(value["big"] == .double(1e20))
        #expect(value["missing"] == nil)
        #expect(try JSONValue.parse("-9223372036854775808") == .int(.min))
        #expect(try JSONValue.parse("1.0") == .double(1))
        #expect(try JSONValue.parse("100000000000000000000") == .double(1e20))
    }

    @Test(arguments: [
        ("", 0), ("{", 1), ("[1,]", 3), ("{\"a\" 1}", 5), ("{\"a\":1,}", 7), ("[1 2]", 3), ("true false", 5),
        ("nul", 3),
        ("01", 0), ("-", 1), ("1.", 2), ("1e", 2), (".5", 0), ("+1", 0), ("1e999", 0), ("NaN", 0), ("Infinity", 0),
        ("\"abc", 0), ("\"\\x\"", 2), ("\"\\u12\"", 5), ("\"\\ud800\"", 1), ("\"\\ud800\\u0041\"", 1),
        ("\"\\udc00\"", 1),
        ("\"a\nb\"", 2), ("{\"a\":1,\"a\":2}", 7), ("{1:2}", 1), ("'a'", 0), ("[1]//", 3), ("\u{feff}1", 0),
    ])
    func refusesWhatIsNoJSON(_ text: String, _ offset: Int) {
        let error = martletError { _ = try JSONValue.parse(text, source: "x.json") }
        #expect(error?.kind == .format)
        #expect(
            error?.message.hasPrefix("x.json: not valid JSON at byte \(offset): ") == true,
            "\(error?.message ?? "none")")
    }

    @Test func refusesInvalidUTF8AndDeepNesting() throws {
        #expect(throws: MartletError.self) { try JSONValue.parse([0x22, 0xff, 0x22]) }
        #expect(throws: MartletError.self) { try JSONValue.parse([0x22, 0xed, 0xa0, 0x80, 0x22]) }
        let deep = { (n: Int) in String(repeating: "[", count: n) + String(repeating: "]", count: n) }
        #expect(throws: Never.self) { try JSONValue.parse(deep(128)) }
        #expect(throws: MartletError.self) { try JSONValue.parse(deep(129)) }
        #expect(throws: MartletError.self) { try JSONValue.parse(String(repeating: "{\"a\":", count: 1_000_000)) }
    }

    @Test func writesWhatItReads() throws {
        let value: JSONValue = [
            "name": "a \"b\" \\ \u{1} \t é 😀", "list": [1, 2.5, -0.0, 1e-300, .int(.max)], "none": .null, "empty": [],
            "object": [:],
        ]
        for pretty in [false, true] {
            #expect(try JSONValue.parse(value.serialized(pretty: pretty)) == value)
        }
        let line = try value.text()
        let expected =
            #"{"name":"a \"b\" \\ \u0001 \t é 😀","list":[1,2.5,-0.0,1e-300,9223372036854775807],"none":null,"#
            + #""empty":[],"object":{}}"#
        #expect(line == expected)
        let pretty = try JSONValue.object(["a": [1], "b": [:]]).text(pretty: true)
        #expect(pretty == "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}")
        #expect(throws: MartletError.self) { try JSONValue.double(.nan).serialized() }
    }

    @Test func objectsKeepOrderAndCompareNamesByBytes() throws {
        var object = JSONObject()
        for i in 0..<100 { object["k\(i)"] = .int(Int64(i)) }
        object["k3"] = nil
        object["k50"] = "fifty"
        #expect(object.count == 99)
        #expect(object["k3"] == nil)
        #expect(object["k50"] == "fifty")
        #expect(object["k99"] == 99)
        #expect(Array(object.keys.prefix(4)) == ["k0", "k1", "k2", "k4"])
        // The same letter in two Unicode forms: two members.
        let accents = try JSONValue.parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
        #expect(accents["\u{e9}"] == 1)
        #expect(accents["e\u{301}"] == 2)
    }

    @Test func damagedTextNeverCrashes() {
        let text = #"{"a":[1,2.5e-3,{"b":null,"c":"x\u00e9\ud83d\ude00"}],"d":true,"e":"ü","f":-0}"#
        forEachDamage(of: Array(text.utf8), count: 20_000, seed: 1) { bytes in
            do {
                let value = try JSONValue.parse(bytes)
                #expect(try JSONValue.parse(value.serialized()) == value)
            } catch {
                #expect(error is MartletError)
            }
        }
    }
}
