//! One tokenizer, ready for use: the crate's pipeline, run twice over (special tokens parsed or
//! not), the table of each token's bytes, and which tokens stand at the ends of a text.

use serde_json::Value;
use tokenizers::tokenizer::{
    AddedVocabulary, Encoding, Model, OffsetReferential, OffsetType, Offsets, PreTokenizer, Token,
    Tokenizer,
};

use crate::spelling::Spelling;

/// Stands inside a special token's spelling where that is a user's text and not the token. Unicode
/// reserves it for such internal use: no text to be exchanged has it.
const QUOTE: char = '\u{FDD0}';

/// Larger ids are a damaged file: the largest vocabularies have a few hundred thousand tokens.
const MAX_ID: u32 = 1 << 24;

#[repr(C)]
pub struct Table {
    bytes: *const u8,
    offsets: *const usize,
    special: *const u8,
    count: usize,
    leading_spaces: usize,
    bos: i64,
    eos: i64,
}

fn failed(error: tokenizers::Error) -> String {
    format!("the text cannot be encoded: {error}")
}

/// What `add_special_tokens` adds.
pub enum Ends {
    Tokens {
        first: Option<u32>,
        last: Option<u32>,
    },
    /// Something more than BOS and EOS: the file's own post-processor does it.
    PostProcessor,
}

pub struct TextTokenizer {
    pub inner: Tokenizer,
    /// The added tokens once more, set not to match special ones.
    plain: AddedVocabulary,
    pub ends: Ends,
    bytes: Vec<u8>,
    offsets: Vec<usize>,
    special: Vec<u8>,
    pub leading_spaces: usize,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
}

impl TextTokenizer {
    pub fn new(
        mut inner: Tokenizer,
        spelling: &Spelling,
        ends: Ends,
        bos: Option<u32>,
        eos: Option<u32>,
    ) -> Result<Self, String> {
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(false);
        let mut plain = inner.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);

        let mut pieces = Vec::new();
        for (piece, id) in inner.get_vocab(true) {
            if id >= MAX_ID {
                return Err(format!("token {piece:?} has id {id}; ids must be below {MAX_ID}"));
            }
            let id = id as usize;
            if pieces.len() <= id {
                pieces.resize(id + 1, None);
            }
            pieces[id] = Some(piece);
        }
        let (mut bytes, mut offsets, mut special) = (Vec::new(), vec![0], Vec::new());
        for (id, piece) in pieces.iter().enumerate() {
            if piece.is_some() {
                let piece = inner.id_to_token(id as u32).unwrap_or_default();
                spelling.append_bytes(&piece, &mut bytes);
                special.push(u8::from(plain.is_special_token(&piece)));
            } else {
                special.push(0);
            }
            offsets.push(bytes.len());
        }
        let leading_spaces = spelling.leading_spaces();
        Ok(TextTokenizer { inner, plain, ends, bytes, offsets, special, leading_spaces, bos, eos })
    }

    /// `config` is tokenizer_config.json, or empty.
    pub fn from_json(tokenizer: &[u8], config: &[u8]) -> Result<Self, String> {
        let config: Value = if config.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(config)
                .map_err(|error| format!("tokenizer_config.json is not valid JSON: {error}"))?
        };
        let inner = Tokenizer::from_bytes(tokenizer).map_err(|error| {
            format!("tokenizer.json is not a tokenizer this engine can read: {error}")
        })?;
        let decoder = serde_json::to_value(inner.get_decoder()).map_err(|e| e.to_string())?;
        let spelling = Spelling::from_decoder(&decoder)
            .map_err(|reason| format!("tokenizer.json cannot be used: {reason}"))?;

        let named = |key: &str| -> Result<Option<u32>, String> {
            let entry = &config[key];
            let Some(text) = entry.as_str().or_else(|| entry["content"].as_str()) else {
                return Ok(None);
            };
            // Some configurations name a token that the vocabulary lacks; without an id it could
            // never occur.
            Ok(inner.token_to_id(text))
        };
        let (mut bos, mut eos) = (named("bos_token")?, named("eos_token")?);

        let probe = inner.encode_fast("", true).map_err(|error| error.to_string())?;
        let added = probe.get_ids();
        let ends = match *added {
            [] => Some((None, None)),
            [only] if Some(only) == eos => Some((None, Some(only))),
            [only] => Some((Some(only), None)),
            [first, last] => Some((Some(first), Some(last))),
            _ => None,
        };
        let ends = match ends {
            None => Ends::PostProcessor,
            Some((first, last)) => {
                bos = bos.or(first);
                eos = eos.or(last);
                let chosen = |key: &str, token: Option<u32>, default: Option<u32>| match config[key]
                    .as_bool()
                {
                    Some(true) => token,
                    Some(false) => None,
                    None => default,
                };
                Ends::Tokens {
                    first: chosen("add_bos_token", bos, first),
                    last: chosen("add_eos_token", eos, last),
                }
            }
        };
        Self::new(inner, &spelling, ends, bos, eos)
    }

    /// `parse`: special tokens spelt out in the text become those tokens, unless `quote` marked them.
    pub fn encode(&self, text: &str, parse: bool, add_special: bool) -> Result<Vec<u32>, String> {
        let encoding = if !parse {
            self.encode_words(&self.plain, text)?
        } else if text.contains(QUOTE) {
            self.encode_quoted(text)?
        } else {
            self.encode_words(self.inner.get_added_vocabulary(), text)?
        };
        match self.ends {
            Ends::PostProcessor => {
                let encoding =
                    self.inner.post_process(encoding, None, add_special).map_err(failed)?;
                Ok(encoding.get_ids().to_vec())
            }
            Ends::Tokens { first, last } => {
                let ends = |token: Option<u32>| token.filter(|_| add_special);
                let ids = encoding.get_ids().iter().copied();
                Ok(ends(first).into_iter().chain(ids).chain(ends(last)).collect())
            }
        }
    }

    fn encode_words(&self, added: &AddedVocabulary, text: &str) -> Result<Encoding, String> {
        let mut words = added.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut words).map_err(failed)?;
        }
        self.inner.get_model().tokenize_in_pretokenized(&mut words, None).map_err(failed)?;
        words.into_encoding(None, 0, OffsetType::None).map_err(failed)
    }

    /// Added tokens cut the text; what lies between them is encoded as if there were none. That is
    /// what the crate does too, so only the quoted tokens come out otherwise.
    fn encode_quoted(&self, marked: &str) -> Result<Encoding, String> {
        let mut text = String::with_capacity(marked.len());
        let mut quotes = Vec::new();
        for (index, part) in marked.split(QUOTE).enumerate() {
            if index > 0 {
                quotes.push(text.len());
            }
            text.push_str(part);
        }
        let nothing_added = AddedVocabulary::new();
        let mut encodings = Vec::new();
        let mut from = 0;
        for (id, (start, end)) in self.added_tokens_in(&text) {
            let quote = quotes.partition_point(|&quote| quote <= start);
            if quotes.get(quote).is_some_and(|&quote| quote < end) {
                continue;
            }
            encodings.push(self.encode_words(&nothing_added, &text[from..start])?);
            let token = Token::new(id, text[start..end].to_string(), (0, end - start));
            encodings.push(Encoding::from_tokens(vec![token], 0));
            from = end;
        }
        encodings.push(self.encode_words(&nothing_added, &text[from..])?);
        Ok(Encoding::merge(encodings, false))
    }

    fn added_tokens_in(&self, text: &str) -> Vec<(u32, Offsets)> {
        let added = self.inner.get_added_vocabulary();
        let splits = added.extract_and_normalize(self.inner.get_normalizer(), text);
        let splits = splits.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits
            .into_iter()
            .filter_map(|(_, offsets, tokens)| Some((tokens.as_ref()?.first()?.id, offsets)))
            .collect()
    }

    /// Marks special tokens spelt out in a text, so that `encode` takes them for text even where it
    /// parses. DeepSeek's files do not call "<｜User｜>" special, but it must not be forged either.
    pub fn quote(&self, text: &str) -> String {
        let mut quoted = String::with_capacity(text.len());
        let mut from = 0;
        for (id, (start, end)) in self.added_tokens_in(text) {
            let spelling = &text[start..end];
            let looks_special = ["<|", "<｜"].iter().any(|mark| spelling.starts_with(mark))
                && ["|>", "｜>"].iter().any(|mark| spelling.ends_with(mark));
            if looks_special || self.special.get(id as usize) == Some(&1) {
                let first = spelling.chars().next().map_or(0, char::len_utf8);
                quoted.push_str(&text[from..start + first]);
                quoted.push(QUOTE);
                from = start + first;
            }
        }
        quoted.push_str(&text[from..]);
        quoted
    }

    /// What each id adds to a text, and whether it is special.
    pub fn words(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let bytes = self.offsets.windows(2).map(|range| &self.bytes[range[0]..range[1]]);
        bytes.zip(self.special.iter().map(|&special| special != 0))
    }

    pub fn piece(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    pub fn table(&self) -> Table {
        Table {
            bytes: self.bytes.as_ptr(),
            offsets: self.offsets.as_ptr(),
            special: self.special.as_ptr(),
            count: self.special.len(),
            leading_spaces: self.leading_spaces,
            bos: self.bos.map_or(-1, i64::from),
            eos: self.eos.map_or(-1, i64::from),
        }
    }
}
