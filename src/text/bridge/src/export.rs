//! A tokenizer in the form that another kind of checkpoint wants: the contents of tokenizer.json, or
//! GGUF's tokenizer.ggml keys.

use serde_json::{json, Map, Value};

use crate::pre_tokenizers;
use crate::spelling::byte_of;
use crate::tokenizer::{Ends, TextTokenizer};

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// tokenizer.json, with the decoder and the ends that this engine itself does without.
pub fn to_json(tokenizer: &TextTokenizer) -> Result<String, String> {
    let mut json = pipeline(tokenizer)?;
    if json["decoder"].is_null() {
        json["decoder"] = decoder(tokenizer, &json["model"]);
    }
    if let (Ends::Tokens { first, last }, true) =
        (&tokenizer.ends, json["post_processor"].is_null())
    {
        json["post_processor"] = post_processor(tokenizer, *first, *last)?;
    }
    serde_json::to_string(&json).map_err(|error| error.to_string())
}

fn pipeline(tokenizer: &TextTokenizer) -> Result<Value, String> {
    serde_json::to_value(&*tokenizer.inner).map_err(|error| error.to_string())
}

fn decoder(tokenizer: &TextTokenizer, model: &Value) -> Value {
    if model["byte_fallback"] != true {
        return json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                      "use_regex": true});
    }
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if tokenizer.leading_spaces > 0 {
        steps.push(json!({"type": "Strip", "content": " ", "start": tokenizer.leading_spaces,
                          "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

fn post_processor(
    tokenizer: &TextTokenizer,
    first: Option<u32>,
    last: Option<u32>,
) -> Result<Value, String> {
    if first.is_none() && last.is_none() {
        return Ok(Value::Null);
    }
    let mut special = Map::new();
    let mut piece = |id: u32, type_id: u32| -> Result<Value, String> {
        let text = tokenizer.piece(id).ok_or_else(|| format!("there is no token {id}"))?;
        special.insert(text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
        Ok(json!({"SpecialToken": {"id": text, "type_id": type_id}}))
    };
    let mut around = |sequence: &str, type_id: u32| -> Result<Vec<Value>, String> {
        let mut pieces = Vec::new();
        if let Some(first) = first {
            pieces.push(piece(first, type_id)?);
        }
        pieces.push(json!({"Sequence": {"id": sequence, "type_id": type_id}}));
        if let Some(last) = last {
            pieces.push(piece(last, type_id)?);
        }
        Ok(pieces)
    };
    let single = around("A", 0)?;
    let mut pair = single.clone();
    pair.extend(around("B", 1)?);
    Ok(json!({"type": "TemplateProcessing", "single": single, "pair": pair,
              "special_tokens": special}))
}

/// GGUF's keys as one JSON object; fails for what llama.cpp's tokenizers do not have.
pub fn to_gguf(tokenizer: &TextTokenizer) -> Result<String, String> {
    let Ends::Tokens { first, last } = tokenizer.ends else {
        return Err("it adds more to a text than a token before and one after it".to_string());
    };
    let json = pipeline(tokenizer)?;
    let model = &json["model"];
    if model["type"] != "BPE" {
        return Err(format!("its model is {}, not BPE", model["type"]));
    }
    let sentence_piece = model["byte_fallback"] == true;
    let pre = if sentence_piece {
        "default"
    } else {
        pre_tokenizers::name_of(&json)
            .ok_or("it cuts texts into words in a way that GGUF has no name for")?
    };
    let unknown = model["unk_token"].as_str().and_then(|token| tokenizer.id(token));
    let (tokens, types) = tokens_of(tokenizer, &json, unknown, sentence_piece);
    let merges = merges_of(model)?;
    let mut keys = json!({
        "model": if sentence_piece { "llama" } else { "gpt2" },
        "pre": pre,
        "tokens": tokens,
        "types": types,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "unknown": unknown,
        "add_bos": first.is_some(),
        "add_eos": last.is_some(),
    });
    if sentence_piece {
        keys["scores"] = scores_of(&tokens, &merges).into();
        keys["add_space_prefix"] = (tokenizer.leading_spaces > 0).into();
    } else {
        let joined: Vec<String> =
            merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        keys["merges"] = joined.into();
    }
    serde_json::to_string(&keys).map_err(|error| error.to_string())
}

/// Every id up to the largest has a token; those that the vocabulary leaves out are named as
/// llama.cpp's converter names them.
fn tokens_of(
    tokenizer: &TextTokenizer,
    json: &Value,
    unknown: Option<u32>,
    sentence_piece: bool,
) -> (Vec<String>, Vec<i32>) {
    let count = tokenizer.words().count();
    let mut tokens = Vec::with_capacity(count);
    let mut types = Vec::with_capacity(count);
    for id in 0..count as u32 {
        match tokenizer.piece(id) {
            None => {
                tokens.push(format!("[PAD{id}]"));
                types.push(UNUSED);
            }
            Some(piece) => {
                types.push(if unknown == Some(id) && sentence_piece {
                    UNKNOWN
                } else if sentence_piece && byte_of(&piece).is_some() {
                    BYTE
                } else {
                    NORMAL
                });
                tokens.push(piece);
            }
        }
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let id = added["id"].as_u64().unwrap_or(u64::MAX) as usize;
        if id < types.len() && types[id] == NORMAL {
            types[id] = if added["special"] == true { CONTROL } else { USER_DEFINED };
        }
    }
    (tokens, types)
}

fn merges_of(model: &Value) -> Result<Vec<(String, String)>, String> {
    let pair = |merge: &Value| match merge {
        Value::String(joined) => {
            joined.split_once(' ').map(|(left, right)| (left.to_string(), right.to_string()))
        }
        merge => Some((merge[0].as_str()?.to_string(), merge[1].as_str()?.to_string())),
    };
    let merges = model["merges"].as_array().into_iter().flatten();
    merges.map(|merge| pair(merge).ok_or_else(|| format!("{merge} is no merge"))).collect()
}

/// SentencePiece joins by the score of the whole: the earlier a piece is merged, the better.
fn scores_of(tokens: &[String], merges: &[(String, String)]) -> Vec<f32> {
    let mut ranks = std::collections::HashMap::with_capacity(merges.len());
    for (rank, (left, right)) in merges.iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let score = |token: &String| -(*ranks.get(token).unwrap_or(&merges.len()) as f32);
    tokens.iter().map(score).collect()
}
