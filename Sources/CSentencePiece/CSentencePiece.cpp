#include "CSentencePiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sentencepiece {
namespace logging {
// Exported by the library but declared in a header that is not installed.
__attribute__((weak)) void SetMinLogLevel(int level);
}  // namespace logging
}  // namespace sentencepiece

struct msp_model {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

std::atomic<int> log_level{3};

void apply_log_level() {
    if (sentencepiece::logging::SetMinLogLevel) sentencepiece::logging::SetMinLogLevel(log_level.load());
}

void *copy(const void *bytes, size_t length) {
    void *result = std::malloc(length == 0 ? 1 : length);
    if (result == nullptr) throw std::bad_alloc();
    if (length != 0) std::memcpy(result, bytes, length);
    return result;
}

int fail(char **error, std::string_view message) {
    char *text = static_cast<char *>(std::malloc(message.size() + 1));
    if (text != nullptr) {
        std::memcpy(text, message.data(), message.size());
        text[message.size()] = 0;
    }
    *error = text;
    return 1;
}

// Runs `body`, which returns a Status, and turns what goes wrong into an error message.
template <typename Body>
int guarded(char **error, Body body) {
    *error = nullptr;
    try {
        const sentencepiece::util::Status status = body();
        if (status.ok()) return 0;
        return fail(error, status.error_message());
    } catch (const std::bad_alloc &) {
        return fail(error, "out of memory");
    } catch (const std::exception &exception) {
        return fail(error, exception.what());
    } catch (...) {
        return fail(error, "unknown exception in the SentencePiece library");
    }
}

sentencepiece::util::Status too_long() {
    // The library counts positions in 32-bit integers.
    return sentencepiece::util::Status(sentencepiece::util::StatusCode::kInvalidArgument,
                                       "the text is longer than 1 GiB");
}

constexpr size_t longest_text = size_t(1) << 30;

class CallbackIterator : public sentencepiece::SentenceIterator {
  public:
    CallbackIterator(msp_next_sentence next, void *context) : next_(next), context_(context) { advance(); }
    bool done() const override { return done_; }
    void Next() override { advance(); }
    const std::string &value() const override { return value_; }
    sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }

  private:
    void advance() {
        const char *text = nullptr;
        size_t length = 0;
        if (next_(context_, &text, &length)) {
            value_.assign(text, length);
        } else {
            done_ = true;
            value_.clear();
        }
    }

    msp_next_sentence next_;
    void *context_;
    std::string value_;
    bool done_ = false;
};

// The trainer keeps global state (its log level, its random generator).
std::mutex training_mutex;

}  // namespace

extern "C" {

int msp_train(const char *const *keys, const char *const *values, size_t option_count, msp_next_sentence next,
              void *context, char **model, size_t *model_length, char **error) {
    return guarded(error, [&]() {
        std::lock_guard<std::mutex> lock(training_mutex);
        apply_log_level();
        std::unordered_map<std::string, std::string> options;
        for (size_t i = 0; i < option_count; ++i) options[keys[i]] = values[i];
        options["minloglevel"] = std::to_string(log_level.load());
        std::string serialized;
        CallbackIterator iterator(next, context);
        auto status = sentencepiece::SentencePieceTrainer::Train(options, &iterator, &serialized);
        if (status.ok()) {
            *model = static_cast<char *>(copy(serialized.data(), serialized.size()));
            *model_length = serialized.size();
        }
        return status;
    });
}

int msp_load(const void *bytes, size_t length, msp_model **model, char **error) {
    return guarded(error, [&]() {
        apply_log_level();
        auto loaded = std::make_unique<msp_model>();
        auto status = loaded->processor.LoadFromSerializedProto(
            std::string_view(static_cast<const char *>(bytes), length));
        if (status.ok()) *model = loaded.release();
        return status;
    });
}

void msp_free(msp_model *model) { delete model; }

void msp_release(void *memory) { std::free(memory); }

int32_t msp_vocabulary_size(const msp_model *model) { return model->processor.GetPieceSize(); }
int32_t msp_unknown_id(const msp_model *model) { return model->processor.unk_id(); }
int32_t msp_begin_id(const msp_model *model) { return model->processor.bos_id(); }
int32_t msp_end_id(const msp_model *model) { return model->processor.eos_id(); }
int32_t msp_padding_id(const msp_model *model) { return model->processor.pad_id(); }

float msp_score(const msp_model *model, int32_t id) { return model->processor.GetScore(id); }

int32_t msp_piece_id(const msp_model *model, const char *piece, size_t length) {
    return model->processor.PieceToId(std::string_view(piece, length));
}

int msp_encode(const msp_model *model, const char *text, size_t length, int32_t **ids, size_t *count, char **error) {
    return guarded(error, [&]() {
        if (length > longest_text) return too_long();
        std::vector<int> result;
        auto status = model->processor.Encode(std::string_view(text, length), &result);
        if (status.ok()) {
            static_assert(sizeof(int) == sizeof(int32_t), "ids are 32-bit");
            *ids = static_cast<int32_t *>(copy(result.data(), result.size() * sizeof(int32_t)));
            *count = result.size();
        }
        return status;
    });
}

int msp_decode(const msp_model *model, const int32_t *ids, size_t count, char **text, size_t *length, char **error) {
    return guarded(error, [&]() {
        std::string result;
        auto status = model->processor.Decode(std::vector<int>(ids, ids + count), &result);
        if (status.ok()) {
            *text = static_cast<char *>(copy(result.data(), result.size()));
            *length = result.size();
        }
        return status;
    });
}

void msp_set_log_level(int level) {
    log_level.store(level);
    apply_log_level();
}

}  // extern "C"
