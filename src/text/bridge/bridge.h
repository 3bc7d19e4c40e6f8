/* The C ABI of the Rust crate in this folder: the `tokenizers` and `minijinja` crates, as src/text
 * uses them. Written by hand beside src/lib.rs; the two must agree.
 *
 * Memory: a FathomSlice is borrowed for the length of a call and need not end in a zero. What a
 * call hands out in a FathomText or FathomIds belongs to the caller, who gives it back with the
 * matching free. Handles are freed by their own free; all frees accept what is null.
 * Errors: a call that can fail has `error` as its last parameter. It returns null or false and
 * sets *error (which the caller frees), or succeeds and leaves *error alone. No panic and no C++
 * exception crosses. Threads: handles are immutable; calls on one may run in parallel. */
#ifndef FATHOM_TEXT_BRIDGE_H
#define FATHOM_TEXT_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FathomSlice {
  const char* data;
  size_t size;
} FathomSlice;

typedef struct FathomText {
  char* data;
  size_t size;
} FathomText;

typedef struct FathomIds {
  int32_t* data;
  size_t size;
} FathomIds;

/* GGUF's tokenizer.ggml.* keys. Ids are -1 and flags are -1 where the file does not say. */
typedef struct FathomVocabulary {
  FathomSlice model;
  FathomSlice pre_tokenizer;
  const FathomSlice* tokens;
  size_t token_count;
  const float* scores;
  size_t score_count;
  const int32_t* token_types;
  size_t token_type_count;
  const FathomSlice* merges;
  size_t merge_count;
  int64_t bos;
  int64_t eos;
  int64_t unknown;
  int64_t eot;
  int8_t add_bos;
  int8_t add_eos;
  int8_t add_space_prefix;
} FathomVocabulary;

/* What each id adds to a text: bytes[offsets[id] .. offsets[id + 1]). Lives as long as its
 * tokenizer. The first `leading_spaces` spaces of a decoded text are not part of it. */
typedef struct FathomTokenTable {
  const uint8_t* bytes;
  const size_t* offsets;  /* [count + 1] */
  const uint8_t* special; /* [count]: 1 if the token is special */
  size_t count;
  size_t leading_spaces;
  int64_t bos; /* -1: none */
  int64_t eos;
} FathomTokenTable;

typedef struct FathomTokenizer FathomTokenizer;
typedef struct FathomTemplate FathomTemplate;

/* config: tokenizer_config.json, or empty. */
FathomTokenizer* fathom_tokenizer_from_json(FathomSlice tokenizer, FathomSlice config,
                                            FathomText* error);
FathomTokenizer* fathom_tokenizer_from_vocabulary(const FathomVocabulary* vocabulary,
                                                  FathomText* error);
void fathom_tokenizer_free(FathomTokenizer* tokenizer);

FathomTokenTable fathom_tokenizer_table(const FathomTokenizer* tokenizer);
/* text must be UTF-8. parse_special: special tokens spelt out in the text become those tokens. */
bool fathom_tokenizer_encode(const FathomTokenizer* tokenizer, FathomSlice text, bool parse_special,
                             bool add_special_tokens, FathomIds* ids, FathomText* error);
/* Empty if there is no such token. */
FathomText fathom_tokenizer_piece(const FathomTokenizer* tokenizer, int32_t id);
/* -1 if there is no such piece. */
int64_t fathom_tokenizer_id(const FathomTokenizer* tokenizer, FathomSlice piece);

FathomTemplate* fathom_template_make(FathomSlice source, FathomText* error);
void fathom_template_free(FathomTemplate* chat_template);

/* The JSON texts are as in ChatTemplateInput; tools and extra may be empty. tokenizer: null, or
 * whose special tokens are quoted where the JSON texts spell them out. */
bool fathom_template_render(const FathomTemplate* chat_template, FathomSlice messages,
                            FathomSlice tools, bool add_generation_prompt, FathomSlice bos,
                            FathomSlice eos, FathomSlice extra, const FathomTokenizer* tokenizer,
                            FathomText* text, FathomText* error);

void fathom_text_free(FathomText text);
void fathom_ids_free(FathomIds ids);

#ifdef __cplusplus
}
#endif

#endif
