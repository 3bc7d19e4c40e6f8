//! A tokenizer from GGUF's vocabulary: byte-level BPE ("gpt2"), or SentencePiece's BPE ("llama"),
//! whose merges follow from the tokens' scores.

use std::cmp::Ordering;

use ahash::AHashMap;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Prepend, Replace, Sequence};
use tokenizers::tokenizer::{AddedToken, Tokenizer};

use crate::ffi::{slice, Slice};
use crate::pre_tokenizers;
use crate::spelling::{byte_of, Spelling};
use crate::tokenizer::{Ends, TextTokenizer};

const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

#[repr(C)]
pub struct RawVocabulary {
    model: Slice,
    pre_tokenizer: Slice,
    tokens: *const Slice,
    token_count: usize,
    scores: *const f32,
    score_count: usize,
    types: *const i32,
    type_count: usize,
    merges: *const Slice,
    merge_count: usize,
    bos: i64,
    eos: i64,
    unknown: i64,
    eot: i64,
    add_bos: i8,
    add_eos: i8,
    add_space_prefix: i8,
}

pub struct Vocabulary<'a> {
    model: &'a str,
    pre_tokenizer: &'a str,
    tokens: Vec<&'a str>,
    scores: &'a [f32],
    types: &'a [i32],
    merges: Vec<&'a str>,
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    eot: Option<u32>,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
    add_space_prefix: Option<bool>,
}

impl<'a> Vocabulary<'a> {
    /// # Safety
    /// All of `raw` must be readable for 'a.
    pub unsafe fn borrow(raw: &'a RawVocabulary) -> Result<Self, String> {
        let texts = |data, count, what: &str| -> Result<Vec<&'a str>, String> {
            let texts: &'a [Slice] = slice(data, count);
            let text = |(index, text): (usize, &Slice)| {
                text.utf8().map_err(|error| format!("{what} {index} is {error}"))
            };
            texts.iter().enumerate().map(text).collect()
        };
        let flag = |value: i8| (value >= 0).then_some(value != 0);
        let id = |value: i64, key: &str| match u32::try_from(value) {
            Ok(id) if (id as usize) < raw.token_count => Ok(Some(id)),
            _ if value == -1 => Ok(None),
            _ => Err(format!(
                "tokenizer.ggml.{key}_token_id is {value}, the vocabulary has {} tokens",
                raw.token_count
            )),
        };
        let sized = |count: usize, what: &str| {
            if count == 0 || count == raw.token_count {
                Ok(())
            } else {
                Err(format!("{count} {what} for {} tokens", raw.token_count))
            }
        };
        sized(raw.score_count, "scores")?;
        sized(raw.type_count, "token types")?;
        Ok(Vocabulary {
            model: raw.model.utf8()?,
            pre_tokenizer: raw.pre_tokenizer.utf8()?,
            tokens: texts(raw.tokens, raw.token_count, "token")?,
            scores: slice(raw.scores, raw.score_count),
            types: slice(raw.types, raw.type_count),
            merges: texts(raw.merges, raw.merge_count, "merge")?,
            bos: id(raw.bos, "bos")?,
            eos: id(raw.eos, "eos")?,
            unknown: id(raw.unknown, "unknown")?,
            eot: id(raw.eot, "eot")?,
            add_bos: flag(raw.add_bos),
            add_eos: flag(raw.add_eos),
            add_space_prefix: flag(raw.add_space_prefix),
        })
    }

    fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(0)
    }

    fn is_special(&self, id: usize) -> bool {
        if self.types.is_empty() {
            // Files without types still name the tokens that end or begin a text.
            [self.bos, self.eos, self.eot].contains(&Some(id as u32))
        } else {
            matches!(self.types[id], CONTROL | UNKNOWN)
        }
    }
}

pub fn tokenizer(vocabulary: Vocabulary) -> Result<TextTokenizer, String> {
    if vocabulary.tokens.is_empty() {
        return Err("the vocabulary is empty (tokenizer.ggml.tokens)".to_string());
    }
    let mut ids = AHashMap::with_capacity(vocabulary.tokens.len());
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        if let Some(first) = ids.insert(token.to_string(), id as u32) {
            return Err(format!("tokens {first} and {id} are both {token:?}"));
        }
        if vocabulary.kind(id) == BYTE && byte_of(token).is_none() {
            return Err(format!(
                "token {id} is typed as a byte but spelt {token:?}, not <0x00> to <0xFF>"
            ));
        }
    }
    let (mut tokenizer, spelling, add_bos) = match vocabulary.model {
        "gpt2" => byte_level(&vocabulary, ids)?,
        "llama" => sentence_piece(&vocabulary, ids)?,
        other => {
            return Err(format!(
                "the tokenizer model {other:?} is not one this engine knows (gpt2, llama)"
            ))
        }
    };
    let added = vocabulary.tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = vocabulary.is_special(id);
        let added = special || vocabulary.kind(id) == USER_DEFINED;
        added.then(|| AddedToken::from(*token, special).normalized(false))
    });
    tokenizer.add_tokens(added).map_err(|error| error.to_string())?;

    let (bos, eos) = (vocabulary.bos, vocabulary.eos);
    let ends = Ends::Tokens {
        first: bos.filter(|_| vocabulary.add_bos.unwrap_or(add_bos)),
        last: eos.filter(|_| vocabulary.add_eos.unwrap_or(false)),
    };
    TextTokenizer::new(tokenizer, &spelling, ends, bos, eos)
}

type Parts = (Tokenizer, Spelling, bool);

fn byte_level(vocabulary: &Vocabulary, ids: AHashMap<String, u32>) -> Result<Parts, String> {
    let recipe = pre_tokenizers::recipe(vocabulary.pre_tokenizer)?;
    let mut merges = Vec::with_capacity(vocabulary.merges.len());
    for (index, merge) in vocabulary.merges.iter().enumerate() {
        let space = merge.char_indices().skip(1).find(|&(_, character)| character == ' ');
        let Some((space, _)) = space else {
            return Err(format!(
                "merge {index}, {merge:?}, is not two pieces with a space between"
            ));
        };
        merges.push((merge[..space].to_string(), merge[space + 1..].to_string()));
    }
    let model = BPE::builder()
        .vocab_and_merges(ids, merges)
        .ignore_merges(recipe.ignore_merges)
        .build()
        .map_err(|error| format!("the merges do not fit the tokens: {error}"))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(recipe.normalizer).map_err(|error| error.to_string())?;
    tokenizer.with_pre_tokenizer(Some(recipe.pre_tokenizer));
    Ok((tokenizer, Spelling::byte_level(), recipe.add_bos))
}

fn sentence_piece(vocabulary: &Vocabulary, ids: AHashMap<String, u32>) -> Result<Parts, String> {
    if vocabulary.scores.is_empty() {
        return Err("a SentencePiece vocabulary needs tokenizer.ggml.scores".to_string());
    }
    if let Some(id) = vocabulary.scores.iter().position(|score| score.is_nan()) {
        return Err(format!("the score of token {id} is not a number"));
    }
    let unknown = vocabulary.unknown.or_else(|| {
        (0..vocabulary.tokens.len()).find(|&id| vocabulary.kind(id) == UNKNOWN).map(|id| id as u32)
    });
    let merges = merges_by_score(vocabulary, &ids);
    let mut model = BPE::builder().vocab_and_merges(ids, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(vocabulary.tokens[unknown as usize].to_string());
    }
    let model = model.build().map_err(|error| error.to_string())?;
    let prefix = vocabulary.add_space_prefix.unwrap_or(true);
    let mut steps = Vec::new();
    if prefix {
        steps.push(Prepend::new("▁".to_string()).into());
    }
    steps.push(Replace::new(" ", "▁").map_err(|error| error.to_string())?.into());
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Sequence::new(steps))).map_err(|error| error.to_string())?;
    let spelling = Spelling::Pieces {
        replacements: vec![("▁".to_string(), " ".to_string())],
        byte_fallback: true,
        leading_spaces: usize::from(prefix),
    };
    Ok((tokenizer, spelling, true))
}

/// SentencePiece joins the neighbours whose joint piece scores best. As ranked merges: every way
/// to cut a piece in two pieces, by falling score of the whole.
fn merges_by_score(vocabulary: &Vocabulary, ids: &AHashMap<String, u32>) -> Vec<(String, String)> {
    let ordinary = |id: usize| !vocabulary.is_special(id) && vocabulary.kind(id) != BYTE;
    let mut merges = Vec::new();
    for (id, token) in vocabulary.tokens.iter().enumerate().filter(|&(id, _)| ordinary(id)) {
        let known = |part: &str| ids.get(part).copied().filter(|&part| ordinary(part as usize));
        let mut cuts: Vec<_> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| Some((known(&token[..at])?, known(&token[at..])?, at)))
            .collect();
        cuts.sort_unstable();
        let whole = vocabulary.scores[id];
        merges.extend(cuts.into_iter().map(|(_, _, at)| (whole, &token[..at], &token[at..])));
    }
    let length = |text: &str| text.chars().count();
    merges.sort_by(|a, b| {
        b.0.partial_cmp(&a.0)
            .unwrap_or(Ordering::Equal)
            .then_with(|| length(b.1).cmp(&length(a.1)))
            .then_with(|| length(b.2).cmp(&length(a.2)))
    });
    merges.into_iter().map(|(_, left, right)| (left.to_string(), right.to_string())).collect()
}
