// The functions of one instruction set that its KernelTable lists; see kernels.hpp for each.
#pragma once

#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void run_block(const BlockPlan& plan, const BlockArgs& args, int unit_begin, int unit_end);
void run_stem(const StemPlan& plan, const StemArgs& args, int row_begin, int row_end);
void run_stem_block(const StemBlockPlan& plan, const StemBlockArgs& args, int tile_begin,
                    int tile_end);
void run_conv(const ConvPlan& plan, const ConvArgs& args, int unit_begin, int unit_end);
void run_stem_conv(const StemConvPlan& plan, const StemConvArgs& args, int tile_begin,
                   int tile_end);
void run_depthwise_map(const DepthwiseMapPlan& plan, const DepthwiseMapArgs& args, int unit_begin,
                       int unit_end);
void run_channel_moves(const ChannelMoves& plan, const float* const* sources, float* dst,
                       int unit_begin, int unit_end);
void sum_maps(const MapSum& sum, int block_begin, int block_end);
void max_map(const MapMaxima& maxima, const float* src, float* dst, int block_begin, int block_end);
void squeeze_excite(const SqueezeExcite& se, const float* sums, int pixels, float* hidden,
                    float* scale);
void global_pool(const MapShape& shape, const float* map, const float* scale, float* mean);
void linear(const LinearPlan& plan, const LinearArgs& args, int panel_begin, int panel_end);
void elementwise(Elementwise function, const float* src, float* dst, std::ptrdiff_t count);
void transform_tokens(const TransformerPlan& plan, const TransformerArgs& args, int stage,
                      int half_begin, int half_end);
void attention(const TransformerPlan& plan, const TransformerArgs& args, int unit_begin,
               int unit_end);
void attention_forward(const AttentionForward& args);
void attention_gradient(const AttentionGradient& args);
void resize_map(const ResizeShape& shape, const float* src, float* dst, int row_begin, int row_end);
void multiply(const Product& product);
void add_outer_products(const OuterProducts& products);
void shift_columns(const ShiftedColumns& columns);
void depthwise_forward(const DepthwiseForward& args);
void depthwise_moments(const DepthwiseMoments& args);
void depthwise_weight_gradient(const DepthwiseWeightGradient& args);
void depthwise_input_gradient(const DepthwiseInputGradient& args);
void planes_to_block(const Planes& shape, const float* planes, float* block);
void block_to_planes(const Planes& shape, const float* block, const float* addend, float* planes);
void multiply_rows(const RowProducts& products);
double peak(long iterations, float* sink);
float read_sum(const float* data, std::ptrdiff_t count);

}  // namespace mobileone::kernels::MOBILEONE_ISA
