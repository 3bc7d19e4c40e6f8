//! The pre-tokenizers GGUF knows by name (tokenizer.ggml.pre), built as the models' own
//! tokenizer.json files describe them: which regular expressions cut a text into words.

use serde_json::Value;
use tokenizers::normalizers::{unicode::NFC, NormalizerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::tokenizer::SplitDelimiterBehavior;

pub struct Recipe {
    pub pre_tokenizer: PreTokenizerWrapper,
    pub normalizer: Option<NormalizerWrapper>,
    /// A word that is itself a token is not built from merges.
    pub ignore_merges: bool,
    /// Whether BOS is added where the file does not say.
    pub add_bos: bool,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3_WORDS: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^"##,
    "\r\n",
    r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[",
    "\r\n",
    r"]*|\s*[",
    "\r\n",
    r"]+|\s+(?!\S)|\s+"
);

const CJK: &[(u32, u32)] = &[(0x4E00, 0x9FA5), (0x0800, 0x4E00), (0xAC00, 0xD7FF)];
const HAN_AND_KANA: &[(u32, u32)] = &[(0x4E00, 0x9FA5), (0x3040, 0x309F), (0x30A0, 0x30FF)];
const DEEPSEEK_PUNCTUATION: &[(u32, u32)] = &[
    (0x21, 0x2F),
    (0x3A, 0x7E),
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF5E),
    (0x2018, 0x201F),
    (0x3000, 0x3002),
];
/// Letters with case (Unicode's LC), as DeepSeek-LLM's tokenizer lists them.
const CASED_LETTERS: &[(u32, u32)] = &[
    (0x41, 0x5A),
    (0x61, 0x7A),
    (0xB5, 0xB5),
    (0xC0, 0xD6),
    (0xD8, 0xF6),
    (0xF8, 0x1BA),
    (0x1BC, 0x1BF),
    (0x1C4, 0x293),
    (0x295, 0x2AF),
    (0x370, 0x373),
    (0x376, 0x377),
    (0x37B, 0x37D),
    (0x37F, 0x37F),
    (0x386, 0x386),
    (0x388, 0x38A),
    (0x38C, 0x38C),
    (0x38E, 0x3A1),
    (0x3A3, 0x3F5),
    (0x3F7, 0x481),
    (0x48A, 0x52F),
    (0x531, 0x556),
    (0x10A0, 0x10C5),
    (0x13A0, 0x13F5),
    (0x13F8, 0x13FD),
    (0x1C90, 0x1CBA),
    (0x1CBD, 0x1CBF),
    (0x1D00, 0x1D2B),
    (0x1D6B, 0x1D77),
    (0x1D79, 0x1D9A),
    (0x1E00, 0x1F15),
    (0x1F18, 0x1F1D),
    (0x1F20, 0x1F45),
    (0x1F48, 0x1F4D),
    (0x1F50, 0x1F57),
    (0x1F59, 0x1F59),
    (0x1F5B, 0x1F5B),
    (0x1F5D, 0x1F5D),
    (0x1F5F, 0x1F7D),
    (0x1F80, 0x1FB4),
    (0x1FB6, 0x1FBC),
    (0x1FBE, 0x1FBE),
    (0x1FC2, 0x1FC4),
    (0x1FC6, 0x1FCC),
    (0x1FD0, 0x1FD3),
    (0x1FD6, 0x1FDB),
    (0x1FE0, 0x1FEC),
    (0x1FF2, 0x1FF4),
    (0x1FF6, 0x1FFC),
    (0x2102, 0x2102),
    (0x2107, 0x2107),
    (0x210A, 0x2113),
    (0x2115, 0x2115),
    (0x2119, 0x211D),
    (0x2124, 0x2124),
    (0x2126, 0x2126),
    (0x2128, 0x2128),
    (0x212A, 0x212D),
    (0x212F, 0x2134),
    (0x2139, 0x2139),
    (0x213C, 0x213F),
    (0x2145, 0x2149),
    (0x214E, 0x214E),
    (0x2183, 0x2184),
    (0x2C00, 0x2C7B),
    (0x2C7E, 0x2CE4),
    (0x2CEB, 0x2CEE),
    (0x2CF2, 0x2CF3),
    (0xA640, 0xA66D),
    (0xA680, 0xA69B),
    (0xA722, 0xA76F),
    (0xA771, 0xA787),
    (0xA78B, 0xA78E),
    (0xAB70, 0xABBF),
    (0xFB00, 0xFB06),
    (0xFB13, 0xFB17),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
    (0x10400, 0x1044F),
    (0x104B0, 0x104D3),
    (0x104D8, 0x104FB),
    (0x10C80, 0x10CB2),
    (0x10CC0, 0x10CF2),
    (0x118A0, 0x118DF),
    (0x1E900, 0x1E943),
];

/// A missing name means GPT-2's own words, which is what files older than the key hold. An unknown
/// name is an error: other words would give other ids, and quietly a worse model.
pub fn recipe(name: &str) -> Result<Recipe, String> {
    let plain = |steps: Vec<PreTokenizerWrapper>| Recipe {
        pre_tokenizer: Sequence::new(steps).into(),
        normalizer: None,
        ignore_merges: false,
        add_bos: false,
    };
    let deepseek = |words: Vec<String>| -> Result<Recipe, String> {
        let mut steps = vec![split("[\r\n]")?];
        for pattern in words {
            steps.push(split(&pattern)?);
        }
        steps.push(split(&format!("[{}]+", class(CJK)))?);
        steps.push(Digits::new(true).into());
        steps.push(bytes(false));
        Ok(plain(steps))
    };
    Ok(match name {
        "" | "default" | "gpt-2" => plain(vec![bytes(true)]),
        "smollm" => plain(vec![Digits::new(true).into(), bytes(true)]),
        "llama-bpe" | "llama3" | "llama-v3" => Recipe {
            ignore_merges: true,
            add_bos: true,
            ..plain(vec![split(LLAMA3)?, bytes(false)])
        },
        "qwen2" | "deepseek-r1-qwen" => {
            Recipe { normalizer: Some(NFC.into()), ..plain(vec![split(QWEN2)?, bytes(false)]) }
        }
        "deepseek-llm" => deepseek(vec![
            format!(r"\s?[{}]+", class(CASED_LETTERS)),
            format!(r"\s?[{}]+", class(DEEPSEEK_PUNCTUATION)),
            r"\s+$".to_string(),
        ])?,
        "deepseek-coder" => deepseek(vec![r"\s?\p{L}+".to_string(), r"\s?\p{P}+".to_string()])?,
        "deepseek-v3" => plain(vec![
            split(r"\p{N}{1,3}")?,
            split(&format!("[{}]+", class(HAN_AND_KANA)))?,
            split(DEEPSEEK3_WORDS)?,
            bytes(false),
        ]),
        _ => {
            return Err(format!(
                "the pre-tokenizer {name:?} is not one this engine knows (gpt-2, smollm, \
                 llama-bpe, qwen2, deepseek-llm, deepseek-coder, deepseek-v3, deepseek-r1-qwen)"
            ))
        }
    })
}

/// The names of recipe(), each way to cut once.
const NAMES: [&str; 7] =
    ["gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3"];

/// What GGUF calls the words of a tokenizer, whose JSON form this is.
pub fn name_of(tokenizer: &Value) -> Option<&'static str> {
    let words = steps(&tokenizer["pre_tokenizer"]);
    let normalizer = steps(&tokenizer["normalizer"]);
    let ignore_merges = tokenizer["model"]["ignore_merges"] == true;
    NAMES.into_iter().find(|name| {
        let recipe = recipe(name).expect("a known name");
        steps(&serde_json::to_value(&recipe.pre_tokenizer).unwrap_or_default()) == words
            && steps(&serde_json::to_value(&recipe.normalizer).unwrap_or_default()) == normalizer
            && recipe.ignore_merges == ignore_merges
    })
}

/// A pipeline as the list of what its steps do, whichever way it is spelt.
fn steps(value: &Value) -> Vec<String> {
    let nested = value["pretokenizers"].as_array().or_else(|| value["normalizers"].as_array());
    if let Some(nested) = nested {
        return nested.iter().flat_map(steps).collect();
    }
    match value["type"].as_str() {
        None => vec![],
        Some("Split") => {
            let pattern = &value["pattern"];
            let text = pattern["Regex"].as_str().or_else(|| pattern["String"].as_str());
            let (behavior, invert) = (&value["behavior"], &value["invert"]);
            vec![format!("Split {} {behavior} {invert}", text.unwrap_or(""))]
        }
        Some("Digits") => vec![format!("Digits {}", value["individual_digits"])],
        Some("ByteLevel") => {
            // Missing means true, as in the crate.
            let regex = value["use_regex"] != false;
            vec![format!("ByteLevel {} {regex}", value["add_prefix_space"])]
        }
        Some(_) => vec![value.to_string()],
    }
}

fn split(pattern: &str) -> Result<PreTokenizerWrapper, String> {
    let pattern = SplitPattern::Regex(pattern.to_string());
    Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
        .map(Into::into)
        .map_err(|error| error.to_string())
}

fn bytes(use_regex: bool) -> PreTokenizerWrapper {
    ByteLevel::new(false, true, use_regex).into()
}

fn class(ranges: &[(u32, u32)]) -> String {
    let character = |code| char::from_u32(code).expect("a Unicode scalar value");
    ranges
        .iter()
        .map(|&(first, last)| format!("{}-{}", character(first), character(last)))
        .collect()
}
