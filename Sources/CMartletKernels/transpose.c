// Transposition. See mk_elementwise_private.h.
#include "mk_elementwise_private.h"

typedef void (*transpose_fn)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows, int64_t columns,
                             bool stream, const char *next);
typedef struct {
    transpose_fn of_size[4]; // 1, 2, 4, 8 bytes
} transpose_table;

// Which elements of two registers of N, in parts of 16 bytes, interleaving takes: LOW_N_PARTS those of the lower halves of
// parts, HIGH_N_PARTS those of the upper.
#define LOW_2_1 0, 2
#define HIGH_2_1 1, 3
#define LOW_4_1 0, 4, 1, 5
#define HIGH_4_1 2, 6, 3, 7
#define LOW_8_1 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8_1 4, 12, 5, 13, 6, 14, 7, 15
#define LOW_16_1 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16_1 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_4_2 0, 4, 2, 6
#define HIGH_4_2 1, 5, 3, 7
#define LOW_8_2 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_8_2 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_16_2 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11, 27
#define HIGH_16_2 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_8_4 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_8_4 1, 9, 3, 11, 5, 13, 7, 15
#define LOW_16_4 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_16_4 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW_32_4 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11, 43, 16, 48, 17, 49, 18, 50, 19, 51, 24, 56, \
                25, 57, 26, 58, 27, 59
#define HIGH_32_4 4, 36, 5, 37, 6, 38, 7, 39, 12, 44, 13, 45, 14, 46, 15, 47, 20, 52, 21, 53, 22, 54, 23, 55, 28, \
                60, 29, 61, 30, 62, 31, 63

#define MK_KERNELS "transpose_kernels.h"
#include "mk_each_isa.h"
static const transpose_table *const transpose_tables[MK_ISA_COUNT] = MK_ISA_TABLES(transpose_table_);

void mk_transpose(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t size, int64_t rows, int64_t columns,
                  bool stream, const char *next) {
    transpose_fn fn = MK_TABLE(transpose_tables)->of_size[size == 8 ? 3 : size / 2];
    fn(out, out_1, in, in_0, rows, columns, stream, next);
}
