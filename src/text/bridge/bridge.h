/* The C ABI of the Rust crate in this folder: the `tokenizers`, `minijinja` and `llguidance`
 * crates, as src/text uses them. Written by hand beside src/lib.rs; the two must agree.
 *
 * Memory: a FathomSlice is borrowed for the length of a call and need not end in a zero. What a
 * call hands out in a FathomText or FathomIds belongs to the caller, who gives it back with the
 * matching free. Handles are freed by their own free; all frees accept what is null.
 * Errors: a call that can fail has `error` as its last parameter. It returns null or false and
 * sets *error (which the caller frees), or succeeds and leaves *error alone. No panic and no C++
 * exception crosses. Threads: handles are immutable, but for matchers; calls on one may run in
 * parallel. A matcher belongs to one thread at a time. */
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
typedef struct FathomConstraints FathomConstraints;
typedef struct FathomMatcher FathomMatcher;

/* What a constraint's source is. */
typedef enum FathomConstraintKind {
  FATHOM_JSON_OBJECT = 0, /* any object; there is no source */
  FATHOM_JSON_SCHEMA = 1,
  FATHOM_REGEX = 2,
  FATHOM_GRAMMAR = 3, /* in llguidance's variant of Lark */
} FathomConstraintKind;

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

/* gguf: the tokenizer.ggml keys as a JSON object with the members model, pre, tokens, types,
 * scores, merges, bos, eos, unknown, add_bos, add_eos, add_space_prefix; otherwise tokenizer.json.
 */
bool fathom_tokenizer_export(const FathomTokenizer* tokenizer, bool gguf, FathomText* text,
                             FathomText* error);

FathomTemplate* fathom_template_make(FathomSlice source, FathomText* error);
void fathom_template_free(FathomTemplate* chat_template);

/* The JSON texts are as in ChatTemplateInput; tools and extra may be empty. tokenizer: null, or
 * whose special tokens are quoted where the JSON texts spell them out. */
bool fathom_template_render(const FathomTemplate* chat_template, FathomSlice messages,
                            FathomSlice tools, bool add_generation_prompt, FathomSlice bos,
                            FathomSlice eos, FathomSlice extra, const FathomTokenizer* tokenizer,
                            FathomText* text, FathomText* error);

/* The tokens of a vocabulary as a trie, for matchers. vocab_size: the model's, at least the
 * tokenizer's. ends: the tokens any of which ends a text. */
FathomConstraints* fathom_constraints_make(const FathomTokenizer* tokenizer, size_t vocab_size,
                                           const int32_t* ends, size_t end_count,
                                           FathomText* error);
void fathom_constraints_free(FathomConstraints* constraints);

/* kind: a FathomConstraintKind. A matcher outlives its FathomConstraints. Takes up to ten seconds.
 * Where it fails, *busy says whether others were in the way and not the source. */
FathomMatcher* fathom_matcher_make(const FathomConstraints* constraints, uint32_t kind,
                                   FathomSlice source, bool* busy, FathomText* error);
/* At the same place in its text. */
FathomMatcher* fathom_matcher_clone(const FathomMatcher* matcher);
void fathom_matcher_free(FathomMatcher* matcher);

/* Bit i % 32 of words[i / 32]: token i may come next. */
bool fathom_matcher_mask(FathomMatcher* matcher, uint32_t* words, size_t word_count,
                         FathomText* error);
/* Fails if the token may not come next. Sets *stopped: nothing may follow but the end. */
bool fathom_matcher_accept(FathomMatcher* matcher, int32_t token, bool* stopped, FathomText* error);
bool fathom_matcher_accept_text(const FathomConstraints* constraints, FathomMatcher* matcher,
                                FathomSlice text, bool* stopped, FathomText* error);

void fathom_text_free(FathomText text);
void fathom_ids_free(FathomIds ids);

#ifdef __cplusplus
}
#endif

#endif
