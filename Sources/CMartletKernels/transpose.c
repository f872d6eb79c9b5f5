// Transposition. See mk_elementwise_private.h.
#include "mk_elementwise_private.h"

typedef void (*transpose_fn)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows, int64_t columns,
                             bool stream);
typedef struct {
    transpose_fn of_size[4]; // 1, 2, 4, 8 bytes
} transpose_table;

// Interleaving registers i and i + N / 2 of N, log2(N) times over, transposes a block of N x N.
#define LOW_2 0, 2
#define HIGH_2 1, 3
#define LOW_4 0, 4, 1, 5
#define HIGH_4 2, 6, 3, 7
#define LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_32 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, \
               14, 46, 15, 47
#define HIGH_32 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, \
                60, 29, 61, 30, 62, 31, 63

#define MK_KERNELS "transpose_kernels.h"
#include "mk_each_isa.h"
static const transpose_table *const transpose_tables[MK_ISA_COUNT] = MK_ISA_TABLES(transpose_table_);

void mk_transpose(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t size, int64_t rows, int64_t columns,
                  bool stream) {
    transpose_fn fn = MK_TABLE(transpose_tables)->of_size[size == 8 ? 3 : size / 2];
    fn(out, out_1, in, in_0, rows, columns, stream);
}
