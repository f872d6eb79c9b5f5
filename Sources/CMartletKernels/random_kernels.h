// See random.c. Included once per instruction set.

#pragma clang fp contract(off)

static void MK_FN(random_words)(uint32_t *restrict out, uint64_t key, uint64_t counter, int64_t blocks) {
    MK_VECTORIZE for (int64_t b = 0; b < blocks; b++) {
        philox_block block = philox(counter + (uint64_t)b, 0, key);
        out[4 * b] = block.words[0];
        out[4 * b + 1] = block.words[1];
        out[4 * b + 2] = block.words[2];
        out[4 * b + 3] = block.words[3];
    }
}

static void MK_FN(uniform_f32)(float *restrict out, const uint32_t *restrict words, float low, float range, float limit,
                               int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) {
        float x = low + philox_unit_f32(words[i]) * range;
        out[i] = x > limit ? limit : x;
    }
}
static void MK_FN(uniform_f64)(double *restrict out, const uint32_t *restrict words, double low, double range,
                               double limit, int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) {
        double x = low + philox_unit_f64(words[2 * i], words[2 * i + 1]) * range;
        out[i] = x > limit ? limit : x;
    }
}

static void MK_FN(normal_f32)(float *restrict out, const uint32_t *restrict words, float mean, float std,
                              int64_t pairs) {
    MK_VECTORIZE for (int64_t i = 0; i < pairs; i++) {
        float a, b;
        philox_normal_f32(words[2 * i], words[2 * i + 1], &a, &b);
        out[2 * i] = mean + std * a;
        out[2 * i + 1] = mean + std * b;
    }
}
static void MK_FN(normal_f64)(double *restrict out, const uint32_t *restrict words, double mean, double std,
                              int64_t pairs) {
    MK_VECTORIZE for (int64_t i = 0; i < pairs; i++) {
        double a, b;
        philox_normal_f64(words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3], &a, &b);
        out[2 * i] = mean + std * a;
        out[2 * i + 1] = mean + std * b;
    }
}

// The high half of (64 random bits) * range, for a range of at most 32 bits.
static void MK_FN(integers)(int64_t *restrict out, const uint32_t *restrict words, int64_t low, uint64_t range,
                            int64_t n) {
    uint64_t r = range & 0xffffffffu;
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) {
        uint64_t x = ((uint64_t)words[2 * i + 1] * r + ((uint64_t)words[2 * i] * r >> 32)) >> 32;
        out[i] = (int64_t)((uint64_t)low + x);
    }
}

// `last` is the largest word that counts as a success.
static void MK_FN(flags)(uint8_t *restrict out, const uint32_t *restrict words, uint32_t last, int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) out[i] = words[i] <= last;
}
static void MK_FN(flags_f32)(float *restrict out, const uint32_t *restrict words, uint32_t last, int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) out[i] = words[i] <= last ? 1.0f : 0.0f;
}
// `out` may be `in`.
static void MK_FN(dropout_f32)(float *out, const float *in, const uint32_t *restrict words, uint32_t last, float scale,
                               int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) out[i] = words[i] <= last ? in[i] * scale : 0.0f;
}
static void MK_FN(dropout_f64)(double *out, const double *in, const uint32_t *restrict words, uint32_t last,
                               double scale, int64_t n) {
    MK_VECTORIZE for (int64_t i = 0; i < n; i++) out[i] = words[i] <= last ? in[i] * scale : 0.0;
}

static const random_table MK_FN(random_table_) = {
    MK_FN(random_words), MK_FN(uniform_f32), MK_FN(uniform_f64), MK_FN(normal_f32),  MK_FN(normal_f64),
    MK_FN(integers),     MK_FN(flags),       MK_FN(flags_f32),   MK_FN(dropout_f32), MK_FN(dropout_f64),
};
