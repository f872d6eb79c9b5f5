"""Makes the SentencePiece fixtures with the `sentencepiece` Python package (pip install sentencepiece).

    python3 make_sentencepiece_fixtures.py

writes beside this script, in sentencepiece/: three small models (unigram and BPE as Martlet trains them, and a unigram model
with a dummy prefix and extra spaces removed, as older models have it), and cases.json with the ids of many texts.
"""
import io
import json
import pathlib
import random
import unicodedata

import sentencepiece

SENTENCES = [
    "The lighthouse keeper wrote 1,234 letters before the winter of 1897.",
    "Every morning the baker opens the door and the street smells of bread.",
    "She said: \"Never mind the rain, we shall walk to the harbour anyway.\"",
    "What is written without effort is in general read without pleasure?",
    "The machine learns the next word from the words that came before it.",
    "Der alte Leuchtturmwärter schrieb über die Stürme und die Schiffe.",
    "Jeden Morgen öffnet der Bäcker die Tür, und die Straße riecht nach Brot.",
    "Le gardien du phare écrivait des lettres à sa sœur, même en été.",
    "Où est passée la clé de la vieille maison près de la forêt ?",
    "El farero escribía cartas cada noche; ¿quién las leería mañana?",
    "Смотритель маяка писал письма каждую ночь перед бурей.",
    "Каждое утро пекарь открывает дверь, и улица пахнет хлебом.",
    "灯台守は毎晩、遠い町に住む妹に手紙を書いた。",
    "毎朝パン屋が戸を開けると、通りはパンの匂いがする。",
    "守灯塔的人每天晚上给远方的妹妹写信。",
    "등대지기는 매일 밤 먼 도시에 사는 누이에게 편지를 썼다.",
    "كان حارس المنارة يكتب الرسائل كل ليلة إلى أخته.",
    "हर सुबह नानबाई दरवाज़ा खोलता है और गली में रोटी की महक फैल जाती है।",
    "ο φαροφύλακας έγραφε γράμματα κάθε νύχτα στην αδελφή του",
    "def distance(x, y):\n    total = 0.0\n    for a, b in zip(x, y):\n        total += (a - b) ** 2\n    return total ** 0.5",
    "if (count > 0) {\n\treturn values[count - 1];\n}",
    "The ferry leaves at 07:45, 12:30 and 18:05; the fare is 3.50.",
]

CASES = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "  two  spaces   three    four     ",
    "The lighthouse keeper wrote letters.", "unrelated vocabulary: zymurgy, quokka, xylophone",
    "123.5", "In 2024, 1000000 + 37 = 1000037; 3.14159", "٣٤٥ and ４５６ and Ⅷ and ½",
    "line one\nline two\n\nline four\n", "dos line\r\nnext\r\n\r\nlast", "\ttab\tbetween\t\ttabs\n",
    "    indented four\n        indented eight\n",
    "Der Bäcker öffnet die Tür.", "été où sœur forêt", "Смотритель маяка", "灯台守は毎晩手紙を書いた。", "守灯塔的人",
    "등대지기는 편지를 썼다", "حارس المنارة", "हर सुबह नानबाई दरवाज़ा", "φαροφύλακας έγραφε",
    unicodedata.normalize("NFD", "Der Bäcker öffnet die Tür; été où sœur forêt"),
    unicodedata.normalize("NFD", "등대지기는 편지를 썼다"), "Å Å Å", "ﬁne ﬀ ﬃ", "ｆｕｌｌ　ｗｉｄｔｈ",
    "😀", "smile 😀😃 and 👩‍👩‍👧‍👦 family, flag 🇩🇪, thumbs 👍🏽, heart ❤️", "\U0001F9FF\U0010FFFF\U000E0041",
    "zero​width‍joiner ‮right‬ \u00a0nbsp\u2003em \u2028sep\u2029par", "bell\x07 nul\x00 esc\x1b del\x7f",
    "[eod] <unk> <0x41> <s> </s> are only text", "<|endoftext|>", "\ufeffmark and \ufffd replacement",
    "quotes \"double\" 'single' “curly” ‘too’ «angle» – — … • ·", "a,b;c:d!e?f(g)h[i]j{k}l/m\\n|o@p#q$r%s^t&u*v",
    "def f(x):\n    return x ** 2  # square\n\n\nprint(f(12))\n",
    "word " * 40, "nospaces" * 30, "\n" * 9, "ab" * 100 + " " * 17 + "cd",
]


def corpus():
    """Sentences and recombinations of their words: more text than anyone wants to type."""
    generator = random.Random(7)
    texts = list(SENTENCES)
    for _ in range(1500):
        sentence = generator.choice(SENTENCES)
        words = sentence.split(" ")
        start = generator.randrange(len(words))
        texts.append(" ".join(words[start:start + generator.randint(1, 9)]))
    return texts


def train(texts, **options):
    lines = [line for text in texts for line in text.split("\n") if line]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, num_threads=1, bos_id=-1, eos_id=1,
        eos_piece="[eod]", byte_fallback=True, normalization_rule_name="identity", **options)
    return model.getvalue()


def main():
    folder = pathlib.Path(__file__).resolve().parent / "sentencepiece"
    folder.mkdir(exist_ok=True)
    texts = corpus()
    lossless = dict(add_dummy_prefix=False, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
                    split_digits=True, user_defined_symbols=["\n"])
    models = {
        "unigram": train(texts, model_type="unigram", vocab_size=640, **lossless),
        "bpe": train(texts, model_type="bpe", vocab_size=720, **lossless),
        "prefix": train(texts, model_type="unigram", vocab_size=560, add_dummy_prefix=True,
                        remove_extra_whitespaces=True),
    }
    generator = random.Random(11)
    cases = list(CASES) + SENTENCES
    pieces = "".join(CASES)
    for _ in range(60):
        cases.append("".join(generator.choice(pieces) for _ in range(generator.randint(1, 80))))
    cases.append("\n\n".join(generator.choice(SENTENCES) for _ in range(60)))
    result = {"sentencepiece": sentencepiece.__version__, "cases": [{"text": text} for text in cases]}
    for name, model in models.items():
        (folder / f"{name}.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        for case in result["cases"]:
            ids = processor.encode(case["text"])
            case[name] = ids
            if name == "prefix":
                case["prefixDecoded"] = processor.decode(ids)
            else:
                assert processor.decode(ids) == case["text"], (name, case["text"])
    (folder / "cases.json").write_text(json.dumps(result, ensure_ascii=True, indent=None, separators=(",", ":"))
                                       .replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
