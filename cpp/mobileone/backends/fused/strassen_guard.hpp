// When levels of Strassen's algorithm may be chosen on their own (algorithm = automatic).
#pragma once

namespace mobileone::fused {

// Strassen's algorithm adds quarters of both operands, so that a large entry's rounding errors
// reach small results that it has no part in (Higham 2002, section 23.2.2): its error is bounded by
// norms, not element by element. This is the largest ratio, over the output channels, of its
// a-priori bound to that of the direct product for the pair's weights:
//
//   max_j  sum_k (a_k + a_k') (|b_kj| + |b_k'j| + |b_kj'| + |b_k'j'|)  /  sum_k a_k |b_kj|
//
// with k, k' = k + K/2 and j, j' = j + N/2 the entries that are added to each other, and a_k the
// magnitude that depthwise channel k can have for inputs in [-1, 1]: its absolute weights and bias.
// 8 for weights of one size. Channels whose weights are all zero do not count. With two levels four
// entries each of k and j are added to each other, K/4 and N/4 apart: 64 for weights of one size.
//
// depthwise [channels_in][taps], depthwise_bias [channels_in] or null, pointwise
// [channels_out][channels_in]; 2^levels divides both channel counts.
double strassen_growth(int levels, int channels_in, int channels_out, int taps,
                       const float* depthwise, const float* depthwise_bias, const float* pointwise);

// Above this, `automatic` stays with fewer levels: entries that are added differ by more than 8 x,
// and the smaller ones would lose as much of their accuracy.
constexpr double max_strassen_growth(int levels) { return levels == 2 ? 512.0 : 64.0; }

}  // namespace mobileone::fused
