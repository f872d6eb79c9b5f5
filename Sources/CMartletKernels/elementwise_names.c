// What operations are called in profiles: the names of their constants.
#include "include/mk_elementwise.h"
#include "mk_formulas.h"

// An operation may be in the lists of several types.
#define NAME(OP, formula)                                                                                              \
    if (op == MK_##OP) return #OP;

const char *mk_unary_name(mk_unary_op op) {
    MK_FLOAT_UNARY_ARITHMETIC(NAME)
    MK_FLOAT_UNARY_ROUNDING(NAME)
    MK_FLOAT_UNARY_SMOOTH(NAME)
    MK_FLOAT_UNARY_LIBRARY(NAME)
    MK_FLOAT_UNARY_PERIODIC(NAME)
    MK_FLOAT_PREDICATES(NAME)
    MK_INT_UNARY(NAME)
    return "UNARY";
}

const char *mk_binary_name(mk_binary_op op) {
    MK_FLOAT_BINARY_ARITHMETIC(NAME)
    MK_FLOAT_BINARY_SMOOTH(NAME)
    MK_FLOAT_BINARY_LIBRARY(NAME)
    MK_COMPARISONS(NAME)
    MK_INT_BINARY(NAME)
    MK_INT_BINARY_SLOW(NAME)
    return "BINARY";
}
