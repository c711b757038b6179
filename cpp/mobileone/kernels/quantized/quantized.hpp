// Kernels of convolutions of 8-bit integers: the same bits as graph/ops/quantized_convolution.hpp
// says, on every instruction set.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "mobileone/kernels/quantized/byte_linear.hpp"
#include "mobileone/kernels/quantized/byte_map.hpp"
#include "mobileone/kernels/quantized/byte_traits.hpp"

namespace mobileone::kernels {

/// From a sum's float32 product to a byte: clamp(rint(x) + zero_point, least, 255).
struct ByteRange {
  int zero_point = 0, least = 0;
};

/// What of a block there is.
enum class BlockParts { kBoth, kDepthwise, kProject };

/// A depthwise 3x3 or 5x5 convolution (stride 1 or 2, padding half the kernel), then a 1x1
/// convolution, or one of them: then the other one's channels are the same, and the source's zero
/// point is the depthwise's.
struct QuantizedBlockShape {
  int channels_in = 0, channels_out = 0, height = 0, width = 0, stride = 1;
  int source_zero_point = 0;  // of the map that the depthwise reads
  ByteRange depthwise, project;
  BlockParts parts = BlockParts::kBoth;
  int kernel = 3;

  bool has_depthwise() const { return parts != BlockParts::kProject; }
  bool has_project() const { return parts != BlockParts::kDepthwise; }
  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  ByteMap src() const { return {channels_in, height, width}; }
  ByteMap dst() const { return {channels_out, out_height(), out_width()}; }
  int taps() const { return kernel * kernel; }
  /// A source row with two pixels before and after it.
  std::ptrdiff_t wide_row_bytes() const { return std::ptrdiff_t{width + 4} * kBlock; }
};

/// A 1x1 convolution's packed form: panels of [inputs / 4][two vectors of outputs][4], then those
/// of biases, multipliers and offsets, and a line that says what biases are (SumScale).
struct BytePanels {
  int inputs = 0, outputs = 0;  // inputs in whole fours
  ByteTraits traits;

  int groups() const { return inputs / 4; }
  int panels() const { return (outputs + traits.panel_channels() - 1) / traits.panel_channels(); }
  std::size_t weight_bytes() const {
    return std::size_t(groups()) * 2 * std::size_t(traits.vector_bytes() * traits.weight_size);
  }
  std::size_t panel_bytes() const {
    return weight_bytes() + 6 * std::size_t(traits.vector_bytes()) + kAlignment;
  }
  std::size_t packed_bytes() const { return std::size_t(panels()) * panel_bytes(); }
};

/// How a block is cut up: tiles of whole output rows, whose depthwise results stay in the cache.
struct QuantizedBlockPlan {
  QuantizedBlockShape shape;
  ByteTraits traits;
  int tile_rows = 1;

  int tiles() const { return (shape.out_height() + tile_rows - 1) / tile_rows; }
  int tile_pixels() const { return tile_rows * shape.out_width(); }
  /// Pixels of T, which has whole groups of a microkernel's, and a vector more.
  int pitch() const {
    return (tile_pixels() + traits.pixels - 1) / traits.pixels * traits.pixels + 4;
  }
  int k_blocks() const { return shape.src().blocks(); }
  BytePanels project() const { return {k_blocks() * kBlock, shape.channels_out, traits}; }
  /// A channel block's taps, biases and multipliers: of three rows, with offsets and a line as
  /// panels have; or for the first and the second of two rows of the result.
  std::size_t taps_bytes() const {
    if (shape.kernel == 5) {
      const int columns = 5, parts = 2, vectors = 4;
      return std::size_t(traits.vector_bytes()) *
             std::size_t((columns * parts * traits.weight_size + 2) * vectors);
    }
    if (traits.dots_of_columns()) return std::size_t(traits.vector_bytes()) * (3 + 3) + kAlignment;
    const int rows = 2, columns = 3, vectors = 4;
    return std::size_t(traits.vector_bytes()) *
           std::size_t((rows * columns * traits.weight_size + 2) * vectors);
  }
  std::size_t project_offset() const {
    return shape.has_depthwise() ? std::size_t(k_blocks()) * taps_bytes() : 0;
  }
  std::size_t packed_bytes() const {
    return project_offset() + (shape.has_project() ? project().packed_bytes() : 0);
  }
  /// What of other steps' data a tile, or all of them, can bring while panels are multiplied.
  std::size_t bring_bytes_of_tile() const {
    if (!shape.has_project()) return 0;
    return std::size_t(project().panels()) * std::size_t(tile_pixels() / traits.pixels) *
           std::size_t(k_blocks()) * 64;
  }
  std::size_t bring_bytes() const { return std::size_t(tiles()) * bring_bytes_of_tile(); }
  /// Of each thread: T [k_blocks][pitch][16], and the places of a tile's pixels in the result.
  std::size_t tile_bytes() const { return std::size_t(k_blocks()) * std::size_t(pitch()) * kBlock; }
  std::size_t places_bytes() const {
    return (sizeof(int) * std::size_t(pitch()) + kAlignment - 1) / kAlignment * kAlignment;
  }
  /// And of a 5x5 kernel the rows of a tile's source, of a channel block, and what is read beyond.
  std::size_t wide_bytes() const {
    if (shape.kernel != 5 || !shape.has_depthwise()) return 0;
    return std::size_t(tile_rows * shape.stride + 4) * std::size_t(shape.wide_row_bytes()) +
           ByteMap::kSlack;
  }
  std::size_t scratch_bytes() const { return tile_bytes() + places_bytes() + wide_bytes(); }
};

struct QuantizedBlockArgs {
  const std::uint8_t* src = nullptr;  // one image, with its border
  std::uint8_t* dst = nullptr;
  const std::byte* packed = nullptr;  // pack_block's, aligned to 64 bytes
  std::byte* scratch = nullptr;       // scratch_bytes(), aligned to 64 bytes
  // What steps after this one read: brought to the caches on the way, as much as bring_bytes().
  std::span<const std::span<const std::byte>> after;
};

/// clamp(rint((q - zero_point) * factor) + range.zero_point, range.least, 255), in float32, with a
/// factor for each channel.
struct ByteScaling {
  ByteMap map;
  int zero_point = 0;
  ByteRange range;
};

struct BytePooling {
  int least = 0, zero_point = 0;
  float scale = 1.f;
};

/// A 3x3 convolution of stride 2, padding 1, of an image of three float32 planes that is quantized
/// on the way.
struct QuantizedStemPlan {
  int height = 0, width = 0, channels = 0;  // of the image; of the result
  float scale = 1.f;                        // of the image's integers
  int image_zero_point = 0;
  ByteRange range;
  ByteTraits traits;

  ByteMap dst() const { return {channels, (height - 1) / 2 + 1, (width - 1) / 2 + 1}; }
  BytePanels panels() const { return {4 * 7, channels, traits}; }
  std::size_t packed_bytes() const { return panels().packed_bytes(); }
  /// Four rows of the image, and three of windows, of pixels of four bytes; of one of them, with a
  /// pixel before it and enough after it for whole groups.
  std::size_t row_bytes() const {
    return (4 * std::size_t(width + 2 * traits.pixels + 32) + 63) / 64 * 64;
  }
  std::size_t scratch_bytes() const { return 7 * row_bytes(); }
};

struct QuantizedStemArgs {
  const float* image = nullptr;  // [3][height][width]
  std::uint8_t* dst = nullptr;
  const std::byte* packed = nullptr;
  std::byte* scratch = nullptr;
};

struct QuantizedKernels {
  std::string_view name;  // "avx512_vbmi", "avx512_vnni", "avx_vnni", "avx2_madd"
  ByteTraits traits;

  /// Tiles [begin, end) of one image's block, and none of its border.
  void (*run_block)(const QuantizedBlockPlan&, const QuantizedBlockArgs&, int begin, int end);
  /// Rows [begin, end) of the stem's result, and none of its border.
  void (*run_stem)(const QuantizedStemPlan&, const QuantizedStemArgs&, int begin, int end);
  /// Rows [begin, end) of an image; factor[padded channels].
  void (*scale)(const ByteScaling&, const std::uint8_t* src, const float* factor, std::uint8_t* dst,
                int begin, int end);
  /// mean[padded channels] = scale * (mean over the interior of max(q, least) - zero_point).
  void (*pool)(const ByteMap&, const std::uint8_t* image, const BytePooling&, float* mean);
  /// Panels [begin, end) of a linear layer, of all images.
  void (*linear)(const QuantizedLinearPlan&, const QuantizedLinearArgs&, int begin, int end);
};

/// For so many threads that share an image's tiles.
QuantizedBlockPlan plan_quantized_block(const ByteTraits& traits, const QuantizedBlockShape& shape,
                                        int threads = 1);

void pack_quantized_block(const QuantizedBlockPlan& plan, const QuantizedWeights& depthwise,
                          const QuantizedWeights& project, std::byte* packed);
void pack_quantized_stem(const QuantizedStemPlan& plan, const QuantizedWeights& weights,
                         std::byte* packed);

/// Those that this CPU runs, fastest first; of MOBILEONE_MAX_ISA=avx2 none of AVX-512. Empty
/// without AVX2.
std::vector<const QuantizedKernels*> supported_quantized_kernels();

}  // namespace mobileone::kernels
