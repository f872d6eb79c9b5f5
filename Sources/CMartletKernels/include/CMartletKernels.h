// CPU kernels of Martlet: see each header for its contract.
#ifndef CMARTLETKERNELS_H
#define CMARTLETKERNELS_H
#include "mk_base.h"
#include "mk_elementwise.h"
#include "mk_reduce.h"
#include "mk_index.h"
#include "mk_random.h"
#include "mk_nn.h"
#include "mk_optim.h"
#include "mk_matmul.h"
#include "mk_dlpack.h"
#endif
