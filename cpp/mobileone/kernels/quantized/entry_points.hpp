// What the quantized kernels' table of one instruction set is made of.
#pragma once

#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void run_quantized_block(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args, int begin,
                         int end);
void run_quantized_stem(const QuantizedStemPlan& plan, const QuantizedStemArgs& args, int begin,
                        int end);
void scale_bytes(const ByteScaling& scaling, const std::uint8_t* src, const float* factor,
                 std::uint8_t* dst, int begin, int end);
void pool_bytes(const ByteMap& map, const std::uint8_t* image, const BytePooling& pooling,
                float* mean);
void run_quantized_linear(const QuantizedLinearPlan& plan, const QuantizedLinearArgs& args,
                          int begin, int end);

}  // namespace mobileone::kernels::MOBILEONE_ISA
