#include "mobileone/kernels/quantized/byte_depthwise.hpp"

#include "mobileone/kernels/quantized/byte_depthwise_five.hpp"

#if defined(__AVX512VNNI__)
#include "mobileone/kernels/quantized/byte_depthwise_columns.hpp"
#else
#include "mobileone/kernels/quantized/byte_depthwise_rows.hpp"
#endif

namespace mobileone::kernels::MOBILEONE_ISA {

void depthwise_bytes(const QuantizedBlockShape& shape, const std::uint8_t* src, int block,
                     const std::byte* packed, int begin, int end, std::uint8_t* to,
                     std::ptrdiff_t pitch, std::uint8_t* scratch) {
  if (shape.kernel == 5) {
    return depthwise_five(shape, src, block, packed, begin, end, to, pitch, scratch);
  }
  const ByteMap map = shape.src();
  const Requantize requantize(shape.depthwise);
  const int width = shape.out_width();
  const auto source = [&](int y) { return src + map.offset(block, y, -1); };
#if defined(__AVX512VNNI__)
  const ColumnTaps taps(packed, requantize);
  const ColumnRows rows{source(shape.stride * begin - 1), map.row_stride(), to, pitch, end - begin};
  if (shape.stride == 2) return depthwise_columns_of_block<2>(rows, width, taps, requantize);
  return depthwise_columns_of_block<1>(rows, width, taps, requantize);
#else
  const RowTaps taps{packed};
  if (shape.stride == 2) {
    for (int y = begin; y < end; ++y, to += pitch) {
      const std::uint8_t* const rows[4] = {source(2 * y - 1), source(2 * y), source(2 * y + 1),
                                           nullptr};
      row_of_stride_two(rows, width, taps, requantize, to);
    }
    return;
  }
  for (int y = begin; y < end; y += 2, to += 2 * pitch) {
    const bool both = y + 1 < end;
    const std::uint8_t* const rows[4] = {source(y - 1), source(y), source(y + 1),
                                         source(both ? y + 2 : y + 1)};
    two_rows(rows, width, taps, requantize, to, both ? to + pitch : nullptr);
  }
#endif
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
