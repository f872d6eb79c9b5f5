// The tiled product for one instruction set; see matmul.c.
#define MICRO_DOUBLE 0
#include "micro_kernels.h"
#include "matmul_tile.h"
#undef MICRO_DOUBLE
#define MICRO_DOUBLE 1
#include "micro_kernels.h"
#include "matmul_tile.h"
#undef MICRO_DOUBLE

static const matmul_table MK_FN(matmul_table) = {
    {MK_FN(product_tile_f32), MK_FN(thin_product_f32), MR, 2 * MK_LANES, sizeof(float)},
    {MK_FN(product_tile_f64), MK_FN(thin_product_f64), MR, MK_LANES, sizeof(double)},
};
