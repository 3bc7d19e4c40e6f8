//! From a token's spelling in the vocabulary to the bytes it adds to a text. Decoders of the
//! `tokenizers` crate work on whole texts; the ones our models use (byte-level, and SentencePiece's
//! chain) are equal to joining the bytes of each token, which is what streaming needs.

use std::collections::HashMap;

use serde_json::Value;

pub enum Spelling {
    /// GPT-2's alphabet: each byte is one printable character.
    ByteLevel(HashMap<char, u8>),
    Pieces {
        replacements: Vec<(String, String)>,
        byte_fallback: bool,
        /// Spaces to drop at the start of a text, which encoding had put there.
        leading_spaces: usize,
    },
}

impl Spelling {
    pub fn byte_level() -> Self {
        Spelling::ByteLevel(byte_level_alphabet())
    }

    /// `decoder` is the JSON form of a tokenizer's decoder.
    pub fn from_decoder(decoder: &Value) -> Result<Self, String> {
        let mut steps = Vec::new();
        flatten(decoder, &mut steps);
        if let [only] = steps[..] {
            if kind(only) == "ByteLevel" {
                return Ok(Self::byte_level());
            }
        }
        let (mut replacements, mut byte_fallback, mut leading_spaces) = (Vec::new(), false, 0);
        let mut fused = false;
        for step in steps {
            match kind(step) {
                "Replace" => {
                    let pattern =
                        step["pattern"]["String"].as_str().ok_or_else(|| unknown(step))?;
                    let content = step["content"].as_str().ok_or_else(|| unknown(step))?;
                    replacements.push((pattern.to_string(), content.to_string()));
                }
                "Metaspace" => {
                    let mark = step["replacement"].as_str().unwrap_or("▁");
                    replacements.push((mark.to_string(), " ".to_string()));
                    leading_spaces = usize::from(step["prepend_scheme"] != "never");
                }
                "ByteFallback" => byte_fallback = true,
                "Fuse" => fused = true,
                "Strip" if fused && step["content"] == " " && step["stop"] == 0 => {
                    leading_spaces = step["start"].as_u64().unwrap_or(0) as usize;
                }
                _ => return Err(unknown(step)),
            }
        }
        if replacements.is_empty() && !byte_fallback {
            return Err(unknown(decoder));
        }
        Ok(Spelling::Pieces { replacements, byte_fallback, leading_spaces })
    }

    pub fn leading_spaces(&self) -> usize {
        match self {
            Spelling::ByteLevel(_) => 0,
            Spelling::Pieces { leading_spaces, .. } => *leading_spaces,
        }
    }

    pub fn append_bytes(&self, piece: &str, bytes: &mut Vec<u8>) {
        match self {
            Spelling::ByteLevel(alphabet) => {
                let start = bytes.len();
                for character in piece.chars() {
                    match alphabet.get(&character) {
                        Some(byte) => bytes.push(*byte),
                        None => {
                            // Added tokens are spelt plainly.
                            bytes.truncate(start);
                            bytes.extend_from_slice(piece.as_bytes());
                            return;
                        }
                    }
                }
            }
            Spelling::Pieces { replacements, byte_fallback, .. } => {
                let mut text = piece.to_string();
                for (pattern, content) in replacements {
                    text = text.replace(pattern, content);
                }
                match byte_of(&text).filter(|_| *byte_fallback) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend_from_slice(text.as_bytes()),
                }
            }
        }
    }
}

/// The byte that "<0x0A>" stands for.
pub fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on.
fn byte_level_alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| {
            if printable(byte) {
                (char::from(byte), byte)
            } else {
                next += 1;
                (char::from_u32(next - 1).expect("below U+0200"), byte)
            }
        })
        .collect()
}

fn flatten<'a>(decoder: &'a Value, steps: &mut Vec<&'a Value>) {
    match decoder["decoders"].as_array() {
        Some(parts) if kind(decoder) == "Sequence" => {
            parts.iter().for_each(|part| flatten(part, steps));
        }
        _ => steps.push(decoder),
    }
}

fn kind(decoder: &Value) -> &str {
    decoder["type"].as_str().unwrap_or("none")
}

fn unknown(step: &Value) -> String {
    format!(
        "its decoder ({}) is not one this engine knows; byte-level and SentencePiece decoders are",
        kind(step)
    )
}
