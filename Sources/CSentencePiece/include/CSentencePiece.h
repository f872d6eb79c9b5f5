// C interface to the SentencePiece library.
//
// No C++ exception crosses it. Functions that can fail return 0 for success and another value for failure; on failure
// `*error` is set to a message. Every buffer and message handed out belongs to the caller, who gives it back with
// `msp_release`. A loaded model is immutable, so any number of threads may use it at once.

#ifndef CSENTENCEPIECE_H
#define CSENTENCEPIECE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct msp_model msp_model;

// Gives the next training sentence: returns 1 and sets `*text` and `*length`, or 0 at the end. The bytes must stay
// valid until the next call.
typedef int (*msp_next_sentence)(void *context, const char **text, size_t *length);

// Trains a model from the sentences that `next` gives. `keys` and `values` are `option_count` options named as the
// spm_train program names them. On success `*model` holds the exact content of a `.model` file.
int msp_train(const char *const *keys, const char *const *values, size_t option_count, msp_next_sentence next,
              void *context, char **model, size_t *model_length, char **error);

// Loads the content of a `.model` file.
int msp_load(const void *bytes, size_t length, msp_model **model, char **error);
void msp_free(msp_model *model);
void msp_release(void *memory);

int32_t msp_vocabulary_size(const msp_model *model);
int32_t msp_unknown_id(const msp_model *model);
int32_t msp_begin_id(const msp_model *model);    // -1 where the model has none
int32_t msp_end_id(const msp_model *model);      // -1 where the model has none
int32_t msp_padding_id(const msp_model *model);  // -1 where the model has none

// The score of a piece; needs 0 <= id < msp_vocabulary_size(model).
float msp_score(const msp_model *model, int32_t id);

// The id of a piece, the unknown id when the model has no such piece.
int32_t msp_piece_id(const msp_model *model, const char *piece, size_t length);

// Encodes UTF-8 text to ids.
int msp_encode(const msp_model *model, const char *text, size_t length, int32_t **ids, size_t *count, char **error);

// The library's own decoding of ids to text.
int msp_decode(const msp_model *model, const int32_t *ids, size_t count, char **text, size_t *length, char **error);

// The least severity that the library writes to stderr: 0 information, 1 warnings, 2 errors, 3 fatal errors alone (the
// setting until this is called).
void msp_set_log_level(int level);

#ifdef __cplusplus
}
#endif

#endif
