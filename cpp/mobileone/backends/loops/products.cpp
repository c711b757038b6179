#include "mobileone/backends/loops/products.hpp"

#include "mobileone/backends/loops/activation.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

// Up to kPixels neighbouring pixels of a row of the result, and the tile's channels.
struct Block {
  const Products& products;
  const float* x;       // image, channel 0 at pixel (0, 0)
  const float* packed;  // the tile's weights
  const std::int64_t* channels;
  std::int64_t row, column, pixels;

  std::int64_t source_row(std::int64_t ky) const {
    const Conv2d& conv = products.conv;
    return row * conv.stride[0] - conv.padding[0] + ky * conv.dilation[0];
  }
  std::int64_t source_column(std::int64_t kx) const {
    const Conv2d& conv = products.conv;
    return column * conv.stride[1] - conv.padding[1] + kx * conv.dilation[1];
  }
  // Whether all kPixels pixels exist, and no tap of theirs lies left or right of the image.
  bool inside() const {
    return pixels == kPixels && source_column(0) >= 0 &&
           source_column(products.conv.kernel[1] - 1) + (kPixels - 1) * products.conv.stride[1] <
               products.in.width;
  }
};

// sums[p] += sum over the group's channels c of x[p * step + c] * weights[c], for pixels
// [first, last).
template <bool kAll>
MOBILEONE_INLINE void add_tap(const Block& block, const float* x, const float* weights,
                              std::int64_t step, std::int64_t first, std::int64_t last,
                              float (&sums)[kPixels][kTile]) {
  const std::int64_t inputs = block.products.inputs();
  for (std::int64_t c = 0; c < inputs; ++c) {
    const float* const from = x + block.channels[c];
    const float* const w = weights + c * kTile;
    if constexpr (kAll) {
#pragma GCC unroll 8
      for (std::int64_t p = 0; p < kPixels; ++p) {
        const float value = from[p * step];
        for (std::int64_t i = 0; i < kTile; ++i) sums[p][i] += value * w[i];
      }
    } else {
      for (std::int64_t p = first; p < last; ++p) {
        const float value = from[p * step];
        for (std::int64_t i = 0; i < kTile; ++i) sums[p][i] += value * w[i];
      }
    }
  }
}

template <bool kInside>
MOBILEONE_INLINE void add_taps(const Block& block, float (&sums)[kPixels][kTile]) {
  const Products& products = block.products;
  const Conv2d& conv = products.conv;
  const MapView& in = products.in;
  const std::int64_t step = conv.stride[1] * in.run;
  for (std::int64_t ky = 0; ky < conv.kernel[0]; ++ky) {
    const std::int64_t row = block.source_row(ky);
    if (row < 0 || row >= in.height) continue;
    for (std::int64_t kx = 0; kx < conv.kernel[1]; ++kx) {
      const std::int64_t column = block.source_column(kx), stride = conv.stride[1];
      const float* const weights =
          block.packed + (ky * conv.kernel[1] + kx) * products.inputs() * kTile;
      // A pointer to where pixel 0 would lie; only pixels inside the image are read.
      const float* const x = block.x + (row * in.width + column) * in.run;
      if constexpr (kInside) {
        add_tap<true>(block, x, weights, step, 0, kPixels, sums);
      } else {
        const std::int64_t first = column >= 0 ? 0 : (-column + stride - 1) / stride;
        const std::int64_t last =
            column >= in.width ? 0 : std::min(block.pixels, (in.width - 1 - column) / stride + 1);
        add_tap<false>(block, x, weights, step, first, last, sums);
      }
    }
  }
}

}  // namespace

Products::Products(const Conv2d& convolution, const MapView& source, const MapView& result,
                   std::optional<ActivationKind> attached)
    : conv(convolution), in(source), out(result), activation(attached) {
  for (std::int64_t c = 0; c < in.channels; ++c) channel_offset.push_back(in.at(0, c, 0, 0));
}

void Products::pack(const float* weight, float* packed) const {
  const std::int64_t taps = conv.kernel[0] * conv.kernel[1];
  for (std::int64_t group = 0; group < conv.groups; ++group) {
    for (std::int64_t tile = 0; tile < tiles(); ++tile) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        for (std::int64_t c = 0; c < inputs(); ++c) {
          for (std::int64_t i = 0; i < kTile; ++i) {
            const std::int64_t o = tile * kTile + i;
            *packed++ =
                o < outputs() ? weight[((group * outputs() + o) * inputs() + c) * taps + tap] : 0.f;
          }
        }
      }
    }
  }
}

void Products::run(std::int64_t task, const float* x, const float* packed, const float* bias,
                   float* y) const {
  const std::int64_t row = task % out.height, image = task / out.height % out.images;
  const std::int64_t tile = task / out.height / out.images, group = tile / tiles();
  const std::int64_t first = group * outputs() + tile % tiles() * kTile;
  const std::int64_t count = std::min(kTile, (group + 1) * outputs() - first);
  Block block{*this,
              x + in.at(image, 0, 0, 0),
              packed + tile * tile_floats(),
              channel_offset.data() + group * inputs(),
              row,
              0,
              kPixels};
  for (block.column = 0; block.column < out.width; block.column += kPixels) {
    block.pixels = std::min(kPixels, out.width - block.column);
    float sums[kPixels][kTile] = {};
    if (block.inside()) {
      vectorized([&]() MOBILEONE_INLINE_LAMBDA { add_taps<true>(block, sums); });
    } else {
      vectorized([&]() MOBILEONE_INLINE_LAMBDA { add_taps<false>(block, sums); });
    }
    if (bias) {
      for (auto& sum : sums) {
        for (std::int64_t i = 0; i < count; ++i) sum[i] += bias[first + i];
      }
    }
    activate(activation, &sums[0][0], kPixels * kTile);
    for (std::int64_t p = 0; p < block.pixels; ++p) {
      for (std::int64_t i = 0; i < count; ++i) {
        y[out.at(image, first + i, row, block.column + p)] = sums[p][i];
      }
    }
  }
}

void add_products(const Products& products, ValueId src, ValueId dst, const LoweredOp& op,
                  PlanBuilder& builder) {
  const std::string& name = builder.node(op.node).name;
  const Operand weights = builder.reordered(
      name + " loops", {name + ".weight"}, products.packed_floats(),
      [products](const float* const* from, float* packed) { products.pack(from[0], packed); });
  const Operand bias = products.conv.bias ? builder.weight(name + ".bias") : Operand{};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, products.tasks(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        products.run(task, input(buffers, src), weights.address(buffers), bias.address(buffers),
                     output(buffers, dst));
      }
    });
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weights, bias});
  reads.push_back(src);
  add_loop(op, builder, reads, {dst}, run);
}

}  // namespace mobileone::loops
